/** How to log in to a registry. */
export type RegistryAuth =
  | { readonly username: string; readonly password: string }
  /** A bearer token, sent as it is. */
  | { readonly token: string }

/** What a lookup finds: {@link RegistryAuth}, or the OAuth2 refresh token that some registries hand out at login. */
export type Credentials = RegistryAuth | { readonly identityToken: string }
