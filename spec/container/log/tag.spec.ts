import t from 'tap'
import { renderTag, tagFault } from '../../../lib/container/log/tag.js'

const id = '0123456789ab'.repeat(5) + 'cdef'
const image = { id: `sha256:${'fedcba987654'.repeat(5)}3210`, name: 'localhost/app:1' }

t.test('fields of a tag', async (t) => {
  const template = 'a_{{.Name}} {{ .ID }} {{.FullID}} {{.ImageName}} {{.ImageID}} {{.ImageFullID}}'
  t.equal(tagFault(template), undefined)
  t.equal(
    renderTag(template, { id, name: 'web', image }),
    `a_web 0123456789ab ${id} localhost/app:1 fedcba987654 ${image.id.slice(7)}`,
  )
  t.equal(renderTag('{{.ImageName}}', { id, name: 'web' }), '', 'of a container without an image')
  t.equal(renderTag('{{.Name}}', { id, name: '{{.ID}}' }), '{{.ID}}', 'what is put in is not looked into')
})

t.test('what is no tag', async (t) => {
  t.match(tagFault('{{.Nmae}}'), /no field \{\{\.Nmae\}\}; did you mean \{\{\.Name\}\}\?/)
  t.match(tagFault('{{.Whatever}}'), /there are \{\{\.Name\}\}, \{\{\.ID\}\}/)
  t.match(tagFault('{{.Name'), /no field \{\{\.Name; did you mean \{\{\.Name\}\}\?/)
  t.match(tagFault('{{ range .Names }}'), /no field/)
  t.match(tagFault('a\nPRIORITY=0'), /control characters/)
  t.match(tagFault('x'.repeat(1025)), /1024 bytes/)
})
