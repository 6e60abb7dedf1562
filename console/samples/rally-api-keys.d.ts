// Types of <rally-api-keys>, for React and Vue: copy this file into your project.
export interface RallyApiKeysElement extends HTMLElement {
  /** The origin of the tenant: `https://acme.rallycrm.io`. */
  baseUrl: string;
  /** The key that is shown; empty: the list. */
  keyId: string;
  /** The link of a key, with `{id}`, for pages with addresses of their own. */
  keyUrl: string;
  listUrl: string;
  pageSize: number;
  /** `light`, `dark`, or empty: as the reader's system. */
  theme: string;
  readOnly: boolean;
  getToken: (() => Promise<string>) | undefined;
  reload(): Promise<void>;
}

/** The detail of `token-request`. */
export interface TokenRequest {
  respondWith(token: string | Promise<string>): void;
}

/** The detail of `created`, `rotated` and `revoked`. */
export interface KeyChange {
  id: string;
}

export interface RallyApiKeysAttributes {
  'base-url'?: string;
  'key-id'?: string;
  'key-url'?: string;
  'list-url'?: string;
  'page-size'?: number;
  theme?: string;
  'read-only'?: boolean;
}

interface Events {
  'token-request': CustomEvent<TokenRequest>;
  'sign-in-required': CustomEvent<undefined>;
  navigated: CustomEvent<{ id: string | null }>;
  created: CustomEvent<KeyChange>;
  rotated: CustomEvent<KeyChange>;
  revoked: CustomEvent<KeyChange>;
}

/** React 19: `ontoken-request`, `oncreated` … */
export type RallyApiKeysReactProps = RallyApiKeysAttributes & {
  [Name in keyof Events as `on${Name}`]?: (event: Events[Name]) => void;
};

/** Vue 3, whose type checker writes names in camel case: `base-url`, `@token-request` … in templates. */
export interface RallyApiKeysVueProps {
  baseUrl?: string;
  keyId?: string;
  keyUrl?: string;
  listUrl?: string;
  pageSize?: number;
  theme?: string;
  readOnly?: boolean;
  onTokenRequest?: (event: Events['token-request']) => void;
  onSignInRequired?: (event: Events['sign-in-required']) => void;
  onNavigated?: (event: Events['navigated']) => void;
  onCreated?: (event: Events['created']) => void;
  onRotated?: (event: Events['rotated']) => void;
  onRevoked?: (event: Events['revoked']) => void;
}
