// In the order that data flows: the runtime, images, containers and what they are made of, errors.
export { Runtime } from './runtime.js'
export type { RunOptions, RuntimeEvents, RuntimeOptions, StartOptions } from './runtime.js'
export type { LayerOptions } from './runtime/layer-rules.js'
export type { ImagePolicyOptions } from './runtime/policy-files.js'
export type { SubIdOptions } from './runtime/sub-ids.js'
export type { MetricsServer, ServeMetricsOptions } from './runtime/metrics/serve.js'
export type { RuntimeInfo, UserNamespaceInfo } from './runtime/info.js'
export type { DriverName } from './storage/drivers/driver.js'
export type { DriverChoice } from './storage/drivers/choose.js'
export type { DriverReport } from './storage/drivers/survey.js'
export type { QuotaReport } from './storage/quotas/quotas.js'
export type { PruneFilters, PruneOptions, PruneReport } from './runtime/prune.js'
export type { CheckOptions, CheckReport, Problem, ProblemKind } from './storage/check/report.js'
export type { KernelFeatures } from './sys/kernel.js'
export type { RecoveredContainer, RecoveryReport } from './container/recover.js'

export type { EventAction, EventType, RuntimeEvent } from './event/event.js'
export type { EventFilters, EventOptions } from './event/event-options.js'

export type { RegistryAuth } from './image/registry-auth.js'
export type { FromHostOptions, HostFile } from './image/from-host/options.js'
export type { ExposedPort, Healthcheck, ImageConfig } from './image/image-config.js'
export type { ImageConfigInput } from './image/image-config-input.js'
export type { Platform } from './image/platform.js'
export type { ImageProgress, OnProgress } from './image/progress.js'
export type { SaveDestination, SaveFormat } from './image/save.js'
export type { ArchiveSource } from './image/source.js'
export { Image } from './storage/image.js'
export type { ImageHistoryEntry, ImageLayer } from './storage/image.js'
export type {
  BringOptions,
  ImportOptions,
  LoadOptions,
  PullOptions,
  PushOptions,
  PushResult,
  RemoveImageOptions,
  SaveOptions,
} from './storage/image-options.js'
export type { ImageSpace } from './storage/image-space.js'
export { Images } from './storage/images.js'
export type { ImageEvent, MountedImage } from './storage/images-parts.js'
export type { LayerLimits, LayerRules } from './storage/layer-types.js'

export { Volumes } from './storage/volumes/volumes.js'
export { CsiService } from './storage/volumes/csi/csi-service.js'
export type { CsiSecret, CsiSecrets } from './storage/volumes/csi/csi-secrets.js'
export type { CsiExpandOptions, CsiSnapshot, CsiSnapshotOptions } from './storage/volumes/csi/csi-service.js'
export type { CsiPluginInfo } from './storage/volumes/csi/plugin.js'
export type { EncryptionKey } from './storage/volumes/keys.js'
export type { EncryptionName, Volume } from './storage/volumes/volume.js'
export type { RemoveVolumeOptions, VolumeFilter, VolumeOptions } from './storage/volumes/volume-options.js'
export type {
  DriverVolume,
  VolumeDriver,
  VolumeMount,
  VolumeMountAttributes,
  VolumeOperation,
  VolumeUser,
} from './storage/volumes/driver.js'

export { Container } from './container/container.js'
export type { ContainerEvents } from './container/container.js'
export type { CheckpointOptions, CheckpointResult } from './container/checkpoint/checkpoint.js'
export type { RestoreOptions } from './container/checkpoint/restore.js'
export { Containers } from './container/containers.js'
export type { ContainerEvent, ContainerFilter, StartFailure, StartReport } from './container/containers.js'
export type { CommitOptions } from './container/commit.js'
export type { CopyFromOptions, ExportOptions } from './container/copy-from.js'
export type { CopySource, CopyToOptions } from './container/copy-to.js'
export type { ContainerChange } from './container/diff.js'
export type { ExecOptions, ExecResult } from './container/exec.js'
export type { ExitStatus } from './container/exit-status.js'
export type { ContainerInspect } from './container/inspect.js'
export type { Quadlet } from './container/quadlet/quadlet.js'
export type { HealthOption } from './container/health/options.js'
export type { ContainerHealth, HealthCheckResult, HealthStatus } from './launch/health.js'
export type { LimitOptions } from './container/limits/options.js'
export type { LogLine } from './container/log/line.js'
export type { LogOptions } from './container/log/log-options.js'
export type { LogDriver, LogDriverOptions } from './container/log/settings.js'
export type {
  BindMountOption,
  ContainerOptions,
  DependencyOption,
  IdMapOption,
  IdMapRange,
  ImageMountOption,
  MountFlagOptions,
  MountOption,
  MountOwnerOptions,
  ReadyOption,
  StorageOption,
  TmpfsMountOption,
  UlimitName,
  VolumeMountOption,
} from './container/options.js'
export type { IdMapping, UserIdMaps } from './container/userns/id-maps.js'
export type { IdMappingOption, UserNamespaceOption } from './container/userns/options.js'
export { ContainerProcess } from './container/process.js'
export type { ProcessExit } from './container/process.js'
export type { Duration, Size } from './schema/quantities.js'
export type { RemoveOptions } from './container/remove.js'
export type { Signal } from './container/signals.js'
export type { Pressure, PressureStall, PressureTimes } from './cgroup/pressure.js'
export type { IoStats } from './cgroup/stats.js'
export type { InterfaceStats } from './container/stats/interfaces.js'
export type { StatsStreamOptions } from './container/stats/follow.js'
export type { ContainerStats } from './container/stats/stats.js'
export type { ProcessDescriptor, ProcessInfo } from './container/top/process-info.js'
export type { SpawnOptions } from './container/spawn-options.js'
export { ContainerAttachment } from './container/terminal/attach.js'
export type { AttachOptions } from './container/terminal/attach.js'
export type { TerminalSize } from './container/terminal/size.js'
export type { ContainerSecurity } from './container/security-of.js'
export type { ContainerSpace } from './container/space.js'
export type { ContainerStatus } from './container/status.js'
export type { StopOptions } from './container/stop.js'
export type { WaitCondition, WaitOptions } from './container/wait.js'

export { Pods } from './pod/pods.js'
export { Pod } from './pod/pod.js'
export type { PodInspect } from './pod/pod.js'
export type { PodStats } from './pod/stats.js'
export type { PodFilter, PodOptions, PodStatus, RemovePodOptions, StopPodOptions } from './pod/options.js'
export type { Dependency, DependencyCondition, InitContainer, PodNamespace } from './container/pod-place.js'

export { Networks } from './network/networks.js'
export { CniError } from './network/cni/cni-error.js'
export type { CniCommand, CniFailure } from './network/cni/cni-error.js'
export type { CniConfigList, CniPluginConfig } from './network/cni/config.js'
export type { CniNetworkOptions } from './network/cni/options.js'
export type { RemoveNetworkOptions } from './network/networks.js'
export type { BoundPort, Endpoint, EndpointDns, EndpointOptions } from './network/attachment.js'
export type { Protocol } from './network/firewall-table.js'
export type { NetworkOptions } from './network/network-options.js'
export type { Network, NetworkDriver, Subnet } from './network/network-record.js'
export type { PortObject, PortOption } from './network/ports.js'

export type { CgroupMode } from './cgroup/layout.js'
export type * from './cgroup/resources.js'
export type * from './security/linux-seccomp.js'
export type { ApparmorState } from './container/labels/choose-apparmor.js'
export type { SelinuxLabels, SelinuxOption } from './security/selinux.js'
export type {
  LandlockAccess,
  LandlockFileRight,
  LandlockOption,
  LandlockRules,
  LandlockScope,
} from './security/landlock.js'
export type { SeccompCondition, SeccompProfile, SeccompProfileRule } from './security/seccomp-profile.js'
export type * from './launch/oci-spec.js'

export { PodlingError } from './errors.js'
export type {
  CgroupErrorCode,
  CheckpointErrorCode,
  ContainerErrorCode,
  ErrorCode,
  GeneralErrorCode,
  ImageErrorCode,
  LaunchErrorCode,
  NetworkErrorCode,
  NetworkProgramErrorCode,
  PodErrorCode,
  PodlingErrorDetails,
  SecurityErrorCode,
  StorageErrorCode,
  UserNamespaceErrorCode,
  VolumeErrorCode,
} from './errors.js'
