export { PodlingError } from './errors.js'
export type {
  CgroupErrorCode,
  ContainerErrorCode,
  ErrorCode,
  GeneralErrorCode,
  ImageErrorCode,
  LaunchErrorCode,
  PodlingErrorDetails,
  SecurityErrorCode,
  StorageErrorCode,
} from './errors.js'
