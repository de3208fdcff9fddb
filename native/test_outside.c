/* Ids of a container as the host has them. */
#include "outside.h"

#include "test.h"

void test_outside(void) {
  const char *map = "0 100000 10\n1000 5000 1\n4294967294 0 1\n";
  check(id_outside(map, 0) == 100000 && id_outside(map, 9) == 100009, "ids of a range follow one another");
  check(id_outside(map, 1000) == 5000, "a later line counts too");
  check(id_outside(map, 4294967294U) == 0, "the last id of all is one");
  check(id_outside(map, 10) == (uint32_t)-1 && id_outside(map, 1001) == (uint32_t)-1, "what no line has has no id");
  check(id_outside("", 0) == (uint32_t)-1 && id_outside("x", 0) == (uint32_t)-1, "nor has anything in no map");
}
