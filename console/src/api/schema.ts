// Generated from docs/openapi.json by `npm run schema`. Do not edit.

export interface paths {
    "/forward-auth": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether a request to the CRM may pass: what a gateway asks before each.
         * @description By the method of the original request, GET, HEAD and OPTIONS need the scope `read`, and any other `write`. It is
         *     this request's own method, `X-Forwarded-Method`, `X-Original-Method` and the override headers
         *     `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`: of all that are there, the strictest counts.
         *
         *     `/forward-auth/` is the same path. Behind it, a gateway may append its client's path and query, which are not read.
         */
        get: operations["checkGet"];
        /**
         * Whether a request to the CRM may pass: what a gateway asks before each.
         * @description By the method of the original request, GET, HEAD and OPTIONS need the scope `read`, and any other `write`. It is
         *     this request's own method, `X-Forwarded-Method`, `X-Original-Method` and the override headers
         *     `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`: of all that are there, the strictest counts.
         *
         *     `/forward-auth/` is the same path. Behind it, a gateway may append its client's path and query, which are not read.
         */
        put: operations["checkPut"];
        /**
         * Whether a request to the CRM may pass: what a gateway asks before each.
         * @description By the method of the original request, GET, HEAD and OPTIONS need the scope `read`, and any other `write`. It is
         *     this request's own method, `X-Forwarded-Method`, `X-Original-Method` and the override headers
         *     `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`: of all that are there, the strictest counts.
         *
         *     `/forward-auth/` is the same path. Behind it, a gateway may append its client's path and query, which are not read.
         */
        post: operations["checkPost"];
        /**
         * Whether a request to the CRM may pass: what a gateway asks before each.
         * @description By the method of the original request, GET, HEAD and OPTIONS need the scope `read`, and any other `write`. It is
         *     this request's own method, `X-Forwarded-Method`, `X-Original-Method` and the override headers
         *     `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`: of all that are there, the strictest counts.
         *
         *     `/forward-auth/` is the same path. Behind it, a gateway may append its client's path and query, which are not read.
         */
        delete: operations["checkDelete"];
        /**
         * Whether a request to the CRM may pass: what a gateway asks before each.
         * @description By the method of the original request, GET, HEAD and OPTIONS need the scope `read`, and any other `write`. It is
         *     this request's own method, `X-Forwarded-Method`, `X-Original-Method` and the override headers
         *     `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`: of all that are there, the strictest counts.
         *
         *     `/forward-auth/` is the same path. Behind it, a gateway may append its client's path and query, which are not read.
         */
        options: operations["checkOptions"];
        /**
         * Whether a request to the CRM may pass: what a gateway asks before each.
         * @description By the method of the original request, GET, HEAD and OPTIONS need the scope `read`, and any other `write`. It is
         *     this request's own method, `X-Forwarded-Method`, `X-Original-Method` and the override headers
         *     `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`: of all that are there, the strictest counts.
         *
         *     `/forward-auth/` is the same path. Behind it, a gateway may append its client's path and query, which are not read.
         */
        head: operations["checkHead"];
        /**
         * Whether a request to the CRM may pass: what a gateway asks before each.
         * @description By the method of the original request, GET, HEAD and OPTIONS need the scope `read`, and any other `write`. It is
         *     this request's own method, `X-Forwarded-Method`, `X-Original-Method` and the override headers
         *     `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`: of all that are there, the strictest counts.
         *
         *     `/forward-auth/` is the same path. Behind it, a gateway may append its client's path and query, which are not read.
         */
        patch: operations["checkPatch"];
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The process runs.
         * @description Does not depend on the database: a restart of this process would not repair that.
         */
        get: operations["isAlive"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the tenant's keys, including inactive ones.
         * @description All keys in one response, unless there is a `limit`.
         */
        get: operations["listApiKeys"];
        put?: never;
        /** Creates a key. Only this response contains its secret. */
        post: operations["createApiKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/self": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Gets the calling key. */
        get: operations["getOwnApiKey"];
        put?: never;
        post?: never;
        /** Revokes the calling key. */
        delete: operations["revokeOwnApiKey"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/self/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Gives the calling key a new secret. */
        post: operations["rotateOwnApiKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/self/previous-secret": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Ends the calling key's previous secret at once. */
        delete: operations["endOwnPreviousSecret"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/self/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Counts the requests with the calling key by hour or day. */
        get: operations["getOwnUsage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/self/callers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists who used the calling key in the last 30 days. */
        get: operations["listOwnCallers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Counts the requests with all keys of the tenant by hour or day. */
        get: operations["getUsage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/self/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the calling key's events, newest first. */
        get: operations["listOwnEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the tenant's events, newest first. */
        get: operations["listEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/policy": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Gets the tenant's policy, and the keys that break it. */
        get: operations["getPolicy"];
        /** Replaces the tenant's policy. It binds creations, changes and rotations at once; keys that break it stay as they are. */
        put: operations["putPolicy"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/receipts/{revision}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Gets the receipt of a change.
         * @description Any revision of the tenant has one: the id of any event of its audit trail. If nobody has waited for it, the instances
         *     are asked now.
         */
        get: operations["getReceipt"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/{id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists one key's events, newest first. */
        get: operations["listApiKeyEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/{id}/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Counts the requests with a key by hour or day. */
        get: operations["getApiKeyUsage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/{id}/callers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists who used a key in the last 30 days: what to look at before revoking it.
         * @description A caller is an address and a program (`User-Agent`) that used one of the key's secrets and was let in. The latest 50,
         *     the latest first.
         */
        get: operations["listApiKeyCallers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/{id}/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Gives a key a new secret.
         * @description The previous secret still works for `overlapSeconds`. If a rotation is under way already, its previous secret ends
         *     at once.
         */
        post: operations["rotateApiKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/{id}/suspend": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Suspends a key: it does not work until it is resumed, or until a time.
         * @description Another end or reason replaces that of a suspension in force. The same ones change nothing.
         */
        post: operations["suspendApiKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/{id}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ends a key's suspension. A key that is not suspended stays as it is. */
        post: operations["resumeApiKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/{id}/previous-secret": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Ends a key's previous secret at once.
         * @description Responds with 204 if there is none, too.
         */
        delete: operations["endPreviousSecret"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/api-keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Gets a key. */
        get: operations["getApiKey"];
        put?: never;
        post?: never;
        /**
         * Revokes a key for good.
         * @description Responds with 204 if it was revoked before, too.
         */
        delete: operations["revokeApiKey"];
        options?: never;
        head?: never;
        /** Changes what is sent of a key, by a JSON merge patch (RFC 7396). */
        patch: operations["updateApiKey"];
        trace?: never;
    };
    "/api/v1/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Shows who is calling. */
        get: operations["getMe"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This description, for programs (OpenAPI 3.1). */
        get: operations["getOpenApi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This description, as a page on which you can try calls. */
        get: operations["showDocs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/console": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The console: a page on which a tenant's admin manages API keys. */
        get: operations["showConsole"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/leaks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Reports secrets that were found where they should not be.
         * @description For whoever finds them: on any host, without a credential. A secret of a key is handled as the policy of its tenant
         *     says (`onLeak`), a single one within a second. The response does not depend on whether there is such a key. At most 10 reports a minute
         *     are accepted from one address.
         */
        post: operations["reportLeaks"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/leaks/github": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Takes the reports of GitHub's secret scanning.
         * @description For GitHub alone, which signs the body (ECDSA over P-256 and SHA-256). The secrets are handled before the response, which
         *     says of each match whether it is a secret of a key. Served where `LEAKS_GITHUB_KEYS_URL` or `LEAKS_GITHUB_KEYS_FILE` is set.
         */
        post: operations["reportLeaksByGithub"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The service can serve requests: the database responds, or cached keys can be checked without it, and no stop has begun.
         * @description `degraded` names what does not work: `database` (only checks of cached keys work, until the lease is over), `change_feed` (changes by other instances do not arrive),
         *     `token_issuer` (tokens under new keys of the issuer are refused, or it publishes no usable key), or
         *     `redis` (each instance counts rate limits by itself).
         */
        get: operations["isReady"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description Requests in an hour or a day */
        UsageBucketResponse: {
            /**
             * Format: date-time
             * @description Start of the bucket
             */
            start: string;
            /**
             * Format: int64
             * @description All requests with a secret of the key, or of any of the tenant's keys, including refused ones
             */
            requests: number;
            /**
             * Format: int64
             * @description The refused ones of these requests
             */
            denied: number;
            /** @description The refused ones by reason */
            deniedByReason: components["schemas"]["DeniedByReason"];
        };
        /** @description The allowed addresses before and after an update (empty: any) */
        AddressesChange: {
            from: string[];
            to: string[];
        };
        Alive: {
            /**
             * @description Always `ok`
             * @example ok
             */
            status: string;
        };
        /** @description A caller of a key: an address and a program that were let in */
        ApiKeyCallerResponse: {
            /** @description The client's address (null: several callers that were not told apart, since there were more than 8 within a short time) */
            address: string | null;
            /** @description The client's `User-Agent`, cut to 200 characters (null: it sent none, or `address` is null) */
            userAgent: string | null;
            /**
             * Format: date-time
             * @description When it was first seen
             */
            firstSeenAt: string;
            /**
             * Format: date-time
             * @description When it was last seen
             */
            lastSeenAt: string;
            /**
             * Format: int64
             * @description Its requests since `firstSeenAt`, without refused ones
             */
            requests: number;
            secret: components["schemas"]["CallerSecret"];
        };
        /** @description An API key with its secret, which no other response contains */
        ApiKeyCreatedResponse: {
            /**
             * Format: uuid
             * @description Unique key identifier
             */
            id: string;
            /**
             * @description Full API key (only shown once at creation!)
             * @example rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c
             */
            key: string;
            /**
             * @description Prefix for identification: `rk_live_`
             * @example rk_live_
             */
            keyPrefix: string;
            /**
             * @description Human-readable key name
             * @example Zapier Sync
             */
            name: string;
            /**
             * @description Assigned permission scopes
             * @example read,write
             */
            scopes: string;
            /**
             * Format: date-time
             * @description Expiration date (null if the key never expires)
             */
            expiresAt: string | null;
            /**
             * Format: date-time
             * @description When the key was created
             */
            createdAt: string;
            /**
             * @description The prefix and last four digits of the secret
             * @example rk_live_…1b4c
             */
            keyHint: string;
            /**
             * @description What the key is for
             * @example Nightly sync of deals
             */
            description: string | null;
            /**
             * Format: date-time
             * @description When the suspension ends (null: not suspended, or suspended until the key is resumed; see `status`)
             */
            suspendedUntil: string | null;
            /** @description The addresses and CIDR blocks that the key may be used from (empty: any) */
            allowedAddresses: string[];
            rateLimit: components["schemas"]["RateLimit"] | null;
            quota: components["schemas"]["Quota"] | null;
            /**
             * @description Only of a decoy, and then true: the key never works, and its use leaves events `decoy_used`, at most one an hour for
             *     each client's network and instance
             * @example true
             */
            decoy?: boolean;
            /** @description Of a rotation that waited for a receipt in vain (202): what is outstanding */
            receipt?: components["schemas"]["ReceiptResponse"];
        };
        /** @description What changed; an absent property did not */
        UpdateDetails: {
            name?: components["schemas"]["TextChange"];
            scopes?: components["schemas"]["TextChange"];
            expiresAt?: components["schemas"]["TimeChange"];
            description?: components["schemas"]["DescriptionChange"];
            allowedAddresses?: components["schemas"]["AddressesChange"];
            rateLimit?: components["schemas"]["RateLimitChange"];
            quota?: components["schemas"]["QuotaChange"];
            /**
             * @description `iss` of the acting user's token
             * @example https://login.example.com
             */
            actorIssuer?: string;
            /**
             * @description `sub` of the acting user's token
             * @example 8d1f0c52
             */
            actorSubject?: string;
            /**
             * @description The prefix and last four digits of the acting key's secret
             * @example rk_live_…1b4c
             */
            actorKeyHint?: string;
        };
        /** @description An API key */
        ApiKeyResponse: {
            /**
             * Format: uuid
             * @description Unique key identifier
             */
            id: string;
            /**
             * @description First characters shown: `rk_live_`
             * @example rk_live_
             */
            keyPrefix: string;
            /**
             * @description Human-readable key name
             * @example Zapier Sync
             */
            name: string;
            /**
             * @description Assigned permission scopes
             * @example read,write
             */
            scopes: string;
            /**
             * Format: date-time
             * @description Expiration date (null if the key never expires)
             */
            expiresAt: string | null;
            /**
             * Format: date-time
             * @description Timestamp of the last API call using this key, at most 5 s behind
             */
            lastUsedAt: string | null;
            /** @description Whether the key is currently active */
            isActive: boolean;
            /**
             * Format: date-time
             * @description When the key was created
             */
            createdAt: string;
            /**
             * @description User who created the key, or `api-key:<id>`, or `operator:<name>` by the command line
             * @example admin@acme.com
             */
            createdBy: string | null;
            /**
             * @description The prefix and last four digits of the newest secret
             * @example rk_live_…1b4c
             */
            keyHint: string;
            /**
             * Format: date-time
             * @description When the key was revoked
             */
            revokedAt: string | null;
            status: components["schemas"]["KeyStatus"];
            rotation: components["schemas"]["Rotation"] | null;
            /**
             * @description What the key is for
             * @example Nightly sync of deals
             */
            description: string | null;
            /**
             * Format: date-time
             * @description When the suspension ends (null: not suspended, or suspended until the key is resumed; see `status`)
             */
            suspendedUntil: string | null;
            /** @description The addresses and CIDR blocks that the key may be used from (empty: any) */
            allowedAddresses: string[];
            rateLimit: components["schemas"]["RateLimit"] | null;
            quota: components["schemas"]["Quota"] | null;
            /**
             * @description In a list with `include=usage`: the requests of each of the last 30 days in UTC, refused ones included, oldest first; the last
             *     one is today
             */
            usage?: number[];
            /**
             * @description Only of a decoy, and then true: the key never works, and its use leaves events `decoy_used`, at most one an hour for
             *     each client's network and instance
             * @example true
             */
            decoy?: boolean;
            /** @description Of a change that waited for a receipt in vain (202): what is outstanding */
            receipt?: components["schemas"]["ReceiptResponse"];
        };
        /** @description Requests with a key by hour or day */
        ApiKeyUsageResponse: {
            interval: components["schemas"]["UsageInterval"];
            /**
             * Format: date-time
             * @description Start of the first bucket
             */
            from: string;
            /**
             * Format: date-time
             * @description End of the last bucket
             */
            to: string;
            /**
             * Format: int64
             * @description All requests from `from` to `to`, including refused ones
             */
            requests: number;
            /**
             * Format: int64
             * @description The refused ones of these requests
             */
            denied: number;
            /** @description Every bucket, in order, including those without a request */
            buckets: components["schemas"]["UsageBucketResponse"][];
            /** @description The key's latest 100 secrets, newest first */
            secrets: components["schemas"]["SecretUseResponse"][];
        };
        /** @description A rule that a key breaks */
        BrokenRule: {
            /**
             * @description Its property in the policy
             * @example maxLifetimeDays
             */
            rule: string;
            /** @description What the rule says */
            limit: unknown;
            /** @description What the key has */
            value: unknown;
        };
        CreateApiKeyRequest: {
            /**
             * @description Human-readable name (e.g., "Zapier Sync", "ETL Pipeline"): 1 to 100 characters after trimming. Control characters, invisible characters and the form of a secret are refused
             * @example Zapier Sync
             */
            name: string;
            /**
             * @description Comma-separated: "read", "write", "admin" (default: "read")
             * @example read,write
             */
            scopes?: string;
            /**
             * Format: date-time
             * @description Expiration date, in the future (null: the key never expires)
             * @example 2030-01-01T00:00:00Z
             */
            expiresAt?: string | null;
            /**
             * @description What the key is for, in any number of lines (null or blank: none). Other control characters than line breaks, invisible characters and the form of a secret are refused
             * @example Nightly sync of deals
             */
            description?: string | null;
            /**
             * @description The addresses and CIDR blocks that the key may be used from, IPv4 and IPv6 (null or empty: any). A block must have no host bits. IPv4-mapped addresses become IPv4
             * @example [
             *       "203.0.113.0/24",
             *       "2001:db8::7"
             *     ]
             */
            allowedAddresses?: string[] | null;
            rateLimit?: components["schemas"]["RateLimit"] | null;
            quota?: components["schemas"]["Quota"] | null;
            /**
             * @description True: the key never works, and the use of its secret leaves events `decoy_used`
             * @example false
             */
            decoy?: boolean | null;
        };
        /** @description The decoy whose secret was used, and by which program */
        DecoyUseDetails: {
            /**
             * @description The prefix and last four digits of that secret
             * @example rk_live_…1b4c
             */
            keyHint: string;
            /**
             * @description The client's `User-Agent`, shortened (null: it sent none)
             * @example curl/8.5.0
             */
            userAgent: string | null;
        };
        /** @description Refused requests by reason */
        DeniedByReason: {
            /**
             * Format: int64
             * @description The key was expired
             */
            expired: number;
            /**
             * Format: int64
             * @description The key's scopes, or a previous secret, were not sufficient
             */
            scope: number;
            /**
             * Format: int64
             * @description The key was revoked, or the secret had ended
             */
            revoked: number;
            /**
             * Format: int64
             * @description The key was suspended
             */
            suspended: number;
            /**
             * Format: int64
             * @description The key may not be used from the client's address
             */
            address: number;
            /**
             * Format: int64
             * @description The key had exceeded its rate limit
             */
            rateLimit: number;
            /**
             * Format: int64
             * @description The key had exhausted its quota
             */
            quota: number;
        };
        /** @description The description before and after an update (null: none) */
        DescriptionChange: {
            from: string | null;
            to: string | null;
        };
        /** @description The secret that was ended */
        EndedSecretDetails: {
            /**
             * @description The prefix and last four digits of that secret
             * @example rk_live_…1b4c
             */
            previousKeyHint: string;
            /**
             * Format: date-time
             * @description When it would have stopped to work
             */
            previousExpiresAt: string;
            /**
             * @description `iss` of the acting user's token
             * @example https://login.example.com
             */
            actorIssuer?: string;
            /**
             * @description `sub` of the acting user's token
             * @example 8d1f0c52
             */
            actorSubject?: string;
            /**
             * @description The prefix and last four digits of the acting key's secret
             * @example rk_live_…1b4c
             */
            actorKeyHint?: string;
        };
        /** @description The secret that came over plain HTTP, and from which program */
        ExposureDetails: {
            /**
             * @description The prefix and last four digits of that secret
             * @example rk_live_…1b4c
             */
            keyHint: string;
            /**
             * @description The client's `User-Agent`, shortened (null: it sent none)
             * @example etl/2.1
             */
            userAgent: string | null;
        };
        /** @description One bad field of a request. */
        FieldError: {
            /** @description The property, query parameter or path parameter */
            field: string;
            /** @description What is wrong with it; continues a sentence that starts with the field's name */
            message: string;
        };
        /** @description Whether a match is a secret */
        GithubLabel: {
            /**
             * @description SHA-256 of the token, in lower-case hexadecimal
             * @example a51687072d5fa2d21521fb685b6459177322f27cabbb32f3976cfa7dd3ef08a7
             */
            token_hash: string;
            /**
             * @description The match's `type`
             * @example rally_crm_api_key
             */
            token_type: string;
            /**
             * @description `true_positive`: it is a secret of a key, in whatever state; else `false_positive`
             * @example true_positive
             */
            label: string;
        };
        /** @description A secret that GitHub found. Further properties are ignored */
        GithubMatch: {
            /**
             * @description The secret
             * @example rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c
             */
            token: string;
            /**
             * @description The name that GitHub has for this kind of secret
             * @example rally_crm_api_key
             */
            type: string;
            /**
             * @description Where it was found; may be empty
             * @example https://github.com/octocat/Hello-World/blob/main/.env
             */
            url: string | null;
        };
        /** @description What the key grants, or granted */
        GrantDetails: {
            /**
             * @description Human-readable key name
             * @example Zapier Sync
             */
            name: string;
            /**
             * @description The prefix and last four digits of the newest secret
             * @example rk_live_…1b4c
             */
            keyHint: string;
            /**
             * @description Assigned permission scopes
             * @example read,write
             */
            scopes: string;
            /**
             * Format: date-time
             * @description Expiration date (null if the key never expires)
             */
            expiresAt: string | null;
            /** @description The allowed client addresses (empty: any) */
            allowedAddresses: string[];
            rateLimit: components["schemas"]["RateLimit"] | null;
            quota: components["schemas"]["Quota"] | null;
            /**
             * @description Why the key was revoked (absent: not said, or not revoked)
             * @example Replaced by the key of the new ETL job
             */
            reason?: string;
            /**
             * @description `iss` of the acting user's token
             * @example https://login.example.com
             */
            actorIssuer?: string;
            /**
             * @description `sub` of the acting user's token
             * @example 8d1f0c52
             */
            actorSubject?: string;
            /**
             * @description The prefix and last four digits of the acting key's secret
             * @example rk_live_…1b4c
             */
            actorKeyHint?: string;
        };
        /** @description A key that will be suspended, unless it is used */
        IdleNoticeDetails: {
            /**
             * @description Human-readable key name
             * @example Zapier Sync
             */
            name: string;
            /**
             * @description The prefix and last four digits of the newest secret
             * @example rk_live_…1b4c
             */
            keyHint: string;
            /**
             * Format: date-time
             * @description Timestamp of the last API call using this key (null: none yet)
             */
            lastUsedAt: string | null;
            /**
             * Format: int32
             * @description What the policy says
             * @example 90
             */
            idleSuspendDays: number;
            /**
             * Format: date-time
             * @description When the key is suspended, if it is not used before
             */
            suspendAt: string;
        };
        /** @description The secret that somebody reported as leaked, and what was done */
        LeakDetails: {
            /**
             * @description Human-readable key name
             * @example Zapier Sync
             */
            name: string;
            /**
             * @description The prefix and last four digits of the secret that leaked
             * @example rk_live_…1b4c
             */
            keyHint: string;
            secret: components["schemas"]["LeakedSecret"];
            action: components["schemas"]["LeakAction"];
            /**
             * @description Where it was found (null: not said)
             * @example https://github.com/octocat/Hello-World/blob/main/.env
             */
            url: string | null;
            /** @description Where else, by the same report; up to 9 */
            otherUrls: string[];
            reportedBy: components["schemas"]["LeakReporter"];
        };
        LeakReportRequest: {
            /** @description The secrets as they were found, whole; what is no secret of an API key has no effect */
            secrets: string[];
            /** @description Where they were found: an http:// or https:// URL (null: not said) */
            url?: string | null;
        };
        /** @description Always the same */
        LeakReportResponse: {
            /**
             * @description Always `accepted`
             * @example accepted
             */
            status: string;
        };
        /** @description The caller */
        MeResponse: {
            principal: components["schemas"]["Principal"];
            tenant: components["schemas"]["Tenant"];
            /**
             * @description What the credential grants, without implied scopes
             * @example read,write
             */
            scopes: string;
            /** @description Whether the caller may create keys: it has the scope `admin`, and if it is a key, it sent its current secret */
            canCreate: boolean;
        };
        /** @description The policy before and after */
        PolicyChangeDetails: {
            from: components["schemas"]["PolicyRules"];
            to: components["schemas"]["PolicyRules"];
            /**
             * @description `iss` of the acting user's token
             * @example https://login.example.com
             */
            actorIssuer?: string;
            /**
             * @description `sub` of the acting user's token
             * @example 8d1f0c52
             */
            actorSubject?: string;
            /**
             * @description The prefix and last four digits of the acting key's secret
             * @example rk_live_…1b4c
             */
            actorKeyHint?: string;
        };
        /** @description The rules; an absent property, or null, is no rule */
        PolicyRequest: {
            /**
             * Format: int32
             * @description No key ends later than so many days from now, and none never
             * @example 365
             */
            maxLifetimeDays?: number | null;
            /**
             * Format: int32
             * @description Keys that are neither revoked nor expired
             * @example 200
             */
            maxActiveKeys?: number | null;
            /**
             * Format: int32
             * @description A key that is not used for so many days is suspended, 7 days after a notice
             * @example 90
             */
            idleSuspendDays?: number | null;
            /**
             * @description No key has a scope that these do not imply
             * @example read,write
             */
            allowedScopes?: string | null;
            /**
             * @description Whether each key must have `allowedAddresses`
             * @example true
             */
            requireAllowedAddresses?: boolean | null;
            /**
             * @description What happens to a key whose secret is reported as leaked: `revoke`, `suspend` or `notify` (null: revoke)
             * @example suspend
             */
            onLeak?: string | null;
            defaultRateLimit?: components["schemas"]["RateLimit"] | null;
        };
        /** @description The tenant's rules for its keys, and the keys that break them */
        PolicyResponse: {
            /**
             * Format: int32
             * @description No key ends later than so many days from now (null: no rule)
             * @example 365
             */
            maxLifetimeDays?: number | null;
            /**
             * Format: int32
             * @description Keys that are neither revoked nor expired (null: no rule)
             * @example 200
             */
            maxActiveKeys?: number | null;
            /**
             * Format: int32
             * @description A key that is not used for so many days is suspended, 7 days after a notice (null: no rule)
             * @example 90
             */
            idleSuspendDays?: number | null;
            /**
             * @description No key has a scope that these do not imply (null: no rule)
             * @example read,write
             */
            allowedScopes?: string | null;
            /** @description Whether each key must have `allowedAddresses` (null: no rule) */
            requireAllowedAddresses?: boolean | null;
            onLeak: components["schemas"]["OnLeak"];
            defaultRateLimit?: components["schemas"]["RateLimit"] | null;
        } & {
            /**
             * Format: int64
             * @description Keys that are neither revoked nor expired: what `maxActiveKeys` limits
             */
            activeKeys: number;
            /**
             * Format: int64
             * @description Keys that break a rule
             */
            violationCount: number;
            /** @description The newest 100 of them */
            violations: components["schemas"]["PolicyViolation"][];
        };
        /** @description The rules */
        PolicyRules: {
            /**
             * Format: int32
             * @description No key ends later than so many days from now (null: no rule)
             * @example 365
             */
            maxLifetimeDays: number | null;
            /**
             * Format: int32
             * @description Keys that are neither revoked nor expired (null: no rule)
             * @example 200
             */
            maxActiveKeys: number | null;
            /**
             * Format: int32
             * @description A key that is not used for so many days is suspended, 7 days after a notice (null: no rule)
             * @example 90
             */
            idleSuspendDays: number | null;
            /**
             * @description No key has a scope that these do not imply (null: no rule)
             * @example read,write
             */
            allowedScopes: string | null;
            /** @description Whether each key must have `allowedAddresses` (null: no rule) */
            requireAllowedAddresses: boolean | null;
            onLeak: components["schemas"]["OnLeak"];
            defaultRateLimit: components["schemas"]["RateLimit"] | null;
        };
        /** @description A key that breaks rules, and its last use */
        PolicyViolation: {
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /** @description Human-readable key name */
            name: string;
            /** @description The prefix and last four digits of the newest secret */
            keyHint: string;
            /** @description The rules that it breaks */
            rules: components["schemas"]["BrokenRule"][];
            /**
             * Format: date-time
             * @description Timestamp of the last API call using this key
             */
            lastUsedAt: string | null;
            /** @description The address of that call */
            lastAddress: string | null;
            /** @description The `User-Agent` of that call, cut to 200 characters */
            lastUserAgent: string | null;
        };
        /** @description Who is calling */
        Principal: {
            kind: components["schemas"]["PrincipalKind"];
            /**
             * @description The key's id, or the `sub` of the user's token (null: the token has none)
             * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
             */
            id: string | null;
            /**
             * @description The key's name, or the user's as it stands in `createdBy`
             * @example Zapier Sync
             */
            name: string;
        };
        /** @description A problem document (RFC 9457). */
        Problem: {
            /** @description A URI for `code`, with no further information */
            type: string;
            /** @description The kind of problem, for people */
            title: string;
            /**
             * Format: int32
             * @description The response's status
             */
            status: number;
            /** @description What is wrong and what to do about it, for people */
            detail: string;
            code: components["schemas"]["ProblemCode"];
            /** @description The request's id, as in `X-Request-Id` */
            requestId: string;
            /** @description Every bad field of the request */
            errors?: components["schemas"]["FieldError"][];
            requiredScope?: components["schemas"]["Scope"];
            /**
             * Format: date-time
             * @description When the next request may come. `Retry-After` is at most an hour
             */
            resetAt?: string;
            /** @description Of a `policy_violation`: the property of the policy */
            rule?: string | null;
            /** @description Of a `policy_violation`: what the rule says */
            limit?: unknown;
            /** @description Of a `policy_violation`: what the key would have */
            value?: unknown;
        };
        /** @description At most so many requests in each period */
        Quota: {
            /**
             * Format: int64
             * @description Requests in a period
             * @example 100000
             */
            requests: number;
            per: components["schemas"]["QuotaPeriod"];
        };
        /** @description The quota before and after an update (null: none) */
        QuotaChange: {
            from: components["schemas"]["Quota"] | null;
            to: components["schemas"]["Quota"] | null;
        };
        /** @description At most so many requests in any window of that length */
        RateLimit: {
            /**
             * Format: int64
             * @description Requests in a window; as many may come at once
             * @example 600
             */
            requests: number;
            /**
             * Format: int64
             * @description The length of the window, in seconds
             * @example 60
             */
            windowSeconds: number;
        };
        /** @description The rate limit before and after an update (null: none) */
        RateLimitChange: {
            from: components["schemas"]["RateLimit"] | null;
            to: components["schemas"]["RateLimit"] | null;
        };
        Readiness: {
            /**
             * @description `ready` or `degraded`
             * @example degraded
             */
            status: string;
            /**
             * @description What does not work: `change_feed`, `token_issuer`, `redis`. Absent if all works
             * @example [
             *       "change_feed"
             *     ]
             */
            degraded?: string[];
        };
        /** @description Proof that no instance uses a state from before a change any more */
        ReceiptDetails: {
            /**
             * Format: uuid
             * @description The change: the id of its event
             */
            revision: string;
            /**
             * @description Live instances: heard within their lease
             * @example 3
             */
            instances: number;
            /**
             * @description Those that have invalidated the key
             * @example 3
             */
            acknowledged: number;
            /**
             * @description Those that were silent until they had lost their lease on the cache
             * @example 0
             */
            lapsed: number;
            /**
             * Format: double
             * @description From the change to the last acknowledgement, in milliseconds
             * @example 2.1
             */
            slowestMs: number;
            /**
             * @description `iss` of the acting user's token
             * @example https://login.example.com
             */
            actorIssuer?: string;
            /**
             * @description `sub` of the acting user's token
             * @example 8d1f0c52
             */
            actorSubject?: string;
            /**
             * @description The prefix and last four digits of the acting key's secret
             * @example rk_live_…1b4c
             */
            actorKeyHint?: string;
        };
        /** @description Whether an instance may still use a state from before a change */
        ReceiptResponse: {
            /**
             * Format: uuid
             * @description The change: the id of its event
             */
            revision: string;
            /** @description No instance uses a state from before the change any more */
            isComplete: boolean;
            /** @description Live instances: heard within their lease */
            instances: number;
            /** @description Those that have invalidated what they had cached */
            acknowledged: number;
            /** @description Those that were silent until they had lost their lease on the cache */
            lapsed: number;
            /**
             * Format: double
             * @description From the change to the last acknowledgement, in milliseconds
             */
            slowestMs: number;
            /** @description The ids of the instances that have neither acknowledged nor lost their lease */
            outstanding: string[];
            /**
             * Format: int64
             * @description The receipt is complete within so many seconds (null: not known before the question of this instance has come back
             *     through the database)
             */
            completeWithinSeconds: number | null;
        };
        ResumeApiKeyRequest: {
            /** @description Null, or absent: a suspension has an end, a resumption has none */
            until?: string | null;
            /**
             * @description Why, for the audit trail (null or blank: not said). Control characters, invisible characters and the form of a secret are refused
             * @example Too many writes; under investigation
             */
            reason?: string | null;
        };
        /** @description The secret that is no longer accepted */
        ReusedSecretDetails: {
            /**
             * @description The prefix and last four digits of that secret
             * @example rk_live_…1b4c
             */
            keyHint: string;
        };
        RotateApiKeyRequest: {
            /**
             * Format: int64
             * @description The time for which the previous secret still works, in seconds (default: 86400, a day); 0 ends it at once
             * @example 3600
             */
            overlapSeconds?: number;
        };
        /** @description A previous secret that still works */
        Rotation: {
            /** @description The prefix and last four digits of the previous secret */
            previousKeyHint: string;
            /**
             * Format: date-time
             * @description When the previous secret stops to work
             */
            previousExpiresAt: string;
            /**
             * Format: date-time
             * @description Timestamp of the last API call using the previous secret
             */
            previousLastUsedAt: string | null;
        };
        /** @description The new secret, and what became of those before it */
        RotationDetails: {
            /**
             * Format: int64
             * @description The overlap that was asked for, in seconds
             * @example 86400
             */
            overlapSeconds: number;
            /**
             * @description The prefix and last four digits of the secret that was replaced
             * @example rk_live_…1b4c
             */
            previousKeyHint: string;
            /**
             * Format: date-time
             * @description When that secret stops to work (null: it was ended at once)
             */
            previousExpiresAt: string | null;
            /** @description The prefix and last four digits of an older secret that the rotation ended */
            endedKeyHint: string | null;
            /**
             * @description The prefix and last four digits of the new secret
             * @example rk_live_…9f02
             */
            keyHint: string;
            /**
             * @description `iss` of the acting user's token
             * @example https://login.example.com
             */
            actorIssuer?: string;
            /**
             * @description `sub` of the acting user's token
             * @example 8d1f0c52
             */
            actorSubject?: string;
            /**
             * @description The prefix and last four digits of the acting key's secret
             * @example rk_live_…1b4c
             */
            actorKeyHint?: string;
        };
        /** @description The last use of a secret */
        SecretUseResponse: {
            /** @description The prefix and last four digits of the secret */
            keyHint: string;
            /**
             * Format: date-time
             * @description When the secret was created
             */
            createdAt: string;
            /**
             * Format: date-time
             * @description When a newer secret replaced it (null: it is the current one)
             */
            retiredAt: string | null;
            /**
             * Format: date-time
             * @description When the secret stops to work, if that is before the key expires
             */
            expiresAt: string | null;
            /**
             * Format: date-time
             * @description When the secret was last used
             */
            lastUsedAt: string | null;
            /** @description The address of that request */
            lastAddress: string | null;
            /** @description The `User-Agent` of that request, cut to 200 characters */
            lastUserAgent: string | null;
        };
        SuspendApiKeyRequest: {
            /**
             * Format: date-time
             * @description When the suspension ends by itself, in the future (null: not until the key is resumed)
             * @example 2030-11-24T18:00:00Z
             */
            until?: string | null;
            /**
             * @description Why, for the audit trail (null or blank: not said). Control characters, invisible characters and the form of a secret are refused
             * @example Too many writes; under investigation
             */
            reason?: string | null;
        };
        /** @description Which key was suspended or resumed, and why */
        SuspensionDetails: {
            /**
             * @description Human-readable key name
             * @example Zapier Sync
             */
            name: string;
            /**
             * @description The prefix and last four digits of the newest secret
             * @example rk_live_…1b4c
             */
            keyHint: string;
            /**
             * Format: date-time
             * @description When the suspension ends by itself (null: it does not, or the key was resumed)
             */
            until: string | null;
            /**
             * @description Why (null: not said)
             * @example Too many writes; under investigation
             */
            reason: string | null;
            /**
             * @description `iss` of the acting user's token
             * @example https://login.example.com
             */
            actorIssuer?: string;
            /**
             * @description `sub` of the acting user's token
             * @example 8d1f0c52
             */
            actorSubject?: string;
            /**
             * @description The prefix and last four digits of the acting key's secret
             * @example rk_live_…1b4c
             */
            actorKeyHint?: string;
        };
        /** @description The tenant of the request's host */
        Tenant: {
            /**
             * @description The first label of its host
             * @example acme
             */
            slug: string;
            /**
             * @description Its name
             * @example Acme
             */
            name: string;
        };
        /** @description Requests with all keys of the tenant by hour or day */
        TenantUsageResponse: {
            interval: components["schemas"]["UsageInterval"];
            /**
             * Format: date-time
             * @description Start of the first bucket
             */
            from: string;
            /**
             * Format: date-time
             * @description End of the last bucket
             */
            to: string;
            /**
             * Format: int64
             * @description All requests from `from` to `to`, including refused ones
             */
            requests: number;
            /**
             * Format: int64
             * @description The refused ones of these requests
             */
            denied: number;
            /** @description Every bucket, in order, including those without a request */
            buckets: components["schemas"]["UsageBucketResponse"][];
        };
        /** @description A property's value before and after an update */
        TextChange: {
            from: string;
            to: string;
        };
        /** @description A time before and after an update (null: never) */
        TimeChange: {
            /** Format: date-time */
            from: string | null;
            /** Format: date-time */
            to: string | null;
        };
        /** @description An absent property stays as it is */
        UpdateApiKeyRequest: {
            /**
             * @description Human-readable name (e.g., "Zapier Sync", "ETL Pipeline"): 1 to 100 characters after trimming. Control characters, invisible characters and the form of a secret are refused
             * @example Zapier Sync
             */
            name?: string;
            /**
             * @description Comma-separated: "read", "write", "admin"
             * @example read,write
             */
            scopes?: string;
            /**
             * Format: date-time
             * @description Expiration date, in the future (null: the key never expires)
             * @example 2030-01-01T00:00:00Z
             */
            expiresAt?: string | null;
            /**
             * @description What the key is for, in any number of lines (null or blank: none). Other control characters than line breaks, invisible characters and the form of a secret are refused
             * @example Nightly sync of deals
             */
            description?: string | null;
            /**
             * @description The addresses and CIDR blocks that the key may be used from, IPv4 and IPv6 (null or empty: any). A block must have no host bits. IPv4-mapped addresses become IPv4
             * @example [
             *       "203.0.113.0/24",
             *       "2001:db8::7"
             *     ]
             */
            allowedAddresses?: string[] | null;
            rateLimit?: components["schemas"]["RateLimit"] | null;
            quota?: components["schemas"]["Quota"] | null;
        };
        /** @description An event of the type `created` */
        KeyCreatedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "created";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["GrantDetails"];
        };
        /** @description An event of the type `updated` */
        KeyUpdatedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "updated";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["UpdateDetails"];
        };
        /** @description An event of the type `rotated` */
        KeyRotatedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "rotated";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["RotationDetails"];
        };
        /** @description An event of the type `previous_secret_ended` */
        PreviousSecretEndedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "previous_secret_ended";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["EndedSecretDetails"];
        };
        /** @description An event of the type `suspended` */
        KeySuspendedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "suspended";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["SuspensionDetails"];
        };
        /** @description An event of the type `resumed` */
        KeyResumedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "resumed";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["SuspensionDetails"];
        };
        /** @description An event of the type `revoked` */
        KeyRevokedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "revoked";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["GrantDetails"];
        };
        /** @description An event of the type `receipt` */
        ReceiptEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "receipt";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["ReceiptDetails"];
        };
        /** @description An event of the type `secret_reused` */
        SecretReusedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "secret_reused";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["ReusedSecretDetails"];
        };
        /** @description An event of the type `idle_notice` */
        KeyIdleNoticeEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "idle_notice";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["IdleNoticeDetails"];
        };
        /** @description An event of the type `leaked` */
        SecretLeakedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "leaked";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["LeakDetails"];
        };
        /** @description An event of the type `decoy_used` */
        DecoyUsedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "decoy_used";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["DecoyUseDetails"];
        };
        /** @description An event of the type `exposed` */
        SecretExposedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "exposed";
            /**
             * Format: uuid
             * @description The key's id
             */
            keyId: string;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["ExposureDetails"];
        };
        /** @description An event of the type `policy_changed` */
        PolicyChangedEvent: {
            /**
             * Format: uuid
             * @description Unique event identifier
             */
            id: string;
            /**
             * @description What happened (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            type: "policy_changed";
            /**
             * Format: uuid
             * @description Null: an event of the tenant itself
             */
            keyId: string | null;
            /**
             * Format: date-time
             * @description When it happened
             */
            occurredAt: string;
            /** @description The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown) */
            actor: string | null;
            /** @description The client's address */
            address: string | null;
            /** @description The request's id */
            requestId: string;
            details: components["schemas"]["PolicyChangeDetails"];
        };
        /** @description An entry of the audit trail */
        ApiKeyEventResponse: components["schemas"]["KeyCreatedEvent"] | components["schemas"]["KeyUpdatedEvent"] | components["schemas"]["KeyRotatedEvent"] | components["schemas"]["PreviousSecretEndedEvent"] | components["schemas"]["KeySuspendedEvent"] | components["schemas"]["KeyResumedEvent"] | components["schemas"]["KeyRevokedEvent"] | components["schemas"]["ReceiptEvent"] | components["schemas"]["SecretReusedEvent"] | components["schemas"]["KeyIdleNoticeEvent"] | components["schemas"]["SecretLeakedEvent"] | components["schemas"]["DecoyUsedEvent"] | components["schemas"]["SecretExposedEvent"] | components["schemas"]["PolicyChangedEvent"];
        /**
         * @description The scope that the request needs
         * @example admin
         * @enum {string}
         */
        Scope: "read" | "write" | "admin";
        /** @enum {string} */
        KeySort: "createdAt" | "-createdAt" | "name" | "-name" | "lastUsedAt" | "-lastUsedAt" | "expiresAt" | "-expiresAt";
        /**
         * @description The length of a bucket, in UTC (default: day)
         * @example hour
         * @enum {string}
         */
        UsageInterval: "hour" | "day";
        /**
         * @description Which secret was used: the current one, or one that a rotation has replaced
         * @enum {string}
         */
        CallerSecret: "current" | "previous";
        /**
         * @description Whether the key works, and why not
         * @enum {string}
         */
        KeyStatus: "active" | "suspended" | "expired" | "revoked";
        /**
         * @description Which secret leaked: the current one, one that a rotation has replaced, or one that had ended
         * @example current
         * @enum {string}
         */
        LeakedSecret: "current" | "previous" | "ended";
        /**
         * @description What was done: to the key, or to the leaked secret alone
         * @example revoked
         * @enum {string}
         */
        LeakAction: "none" | "secret_ended" | "suspended" | "revoked";
        /**
         * @description Who reported it
         * @example github
         * @enum {string}
         */
        LeakReporter: "anyone" | "github";
        /**
         * @description What happens to a key whose secret is reported as leaked
         * @enum {string}
         */
        OnLeak: "revoke" | "suspend" | "notify";
        /**
         * @description Whether the caller is a user or an API key
         * @enum {string}
         */
        PrincipalKind: "user" | "api-key";
        /**
         * @description Stable: match on this. Later versions may add codes
         * @enum {string}
         */
        ProblemCode: "address_not_allowed" | "ambiguous_credentials" | "ambiguous_tenant" | "body_too_large" | "busy" | "database_unavailable" | "idempotency_key_expired" | "idempotency_key_in_use" | "idempotency_key_reused" | "insufficient_scope" | "internal_error" | "invalid_json" | "invalid_key" | "invalid_request" | "invalid_signature" | "invalid_token" | "issuer_unavailable" | "key_expired" | "key_not_found" | "key_required" | "key_revoked" | "key_suspended" | "method_not_allowed" | "missing_credentials" | "missing_host" | "not_found" | "plain_http" | "policy_violation" | "precondition_failed" | "quota_exceeded" | "rate_limited" | "receipt_not_found" | "request_timeout" | "revision_not_reached" | "secret_retired" | "signing_keys_unavailable" | "stopping" | "tenant_not_found" | "timeout" | "token_expired" | "too_many_reports" | "too_many_rotations" | "unsupported_media_type" | "wrong_tenant";
        /**
         * @description The period, which begins at midnight in UTC
         * @enum {string}
         */
        QuotaPeriod: "day" | "month";
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: {
        /**
         * @description The media types that are supported
         * @example application/json
         */
        Accept: string;
        /**
         * @description `identity`, if the body had a content coding
         * @example identity
         */
        "Accept-Encoding": string;
        /**
         * @description The media types that are supported (RFC 5789)
         * @example application/merge-patch+json, application/json
         */
        "Accept-Patch": string;
        /**
         * @description `no-store`
         * @example no-store
         */
        "Cache-Control": string;
        /**
         * @description When a newer secret than the one in the request was created (RFC 9745)
         * @example @1795507200
         */
        Deprecation: string;
        /**
         * @description The entity tag, for `If-Match` and `If-None-Match` (RFC 9110)
         * @example "1-mR9vXo2cQ4eTyU7b"
         */
        ETag: string;
        /**
         * @description With `limit`: the absolute URL of the next page, as `rel="next"` (RFC 8288)
         * @example <https://your-tenant.rallycrm.io/api/v1/api-keys?limit=100&cursor=AQAGYO483xYAobLD1OX2eJCrze8SNFZ4kA>; rel="next"
         */
        Link: string;
        /**
         * @description The key's absolute URL
         * @example https://your-tenant.rallycrm.io/api/v1/api-keys/a1b2c3d4-e5f6-7890-abcd-ef1234567890
         */
        Location: string;
        /**
         * @description With `Prefer: wait`, on a change that takes something away: the seconds that were granted (RFC 7240)
         * @example wait=10
         */
        "Preference-Applied": string;
        /**
         * @description With `Prefer: wait`: no instance uses a state from before the change any more (a dictionary of RFC 9651)
         * @example revision="01a2073f-ad52-724d-9ab3-01acd5b13093", instances=3, acknowledged=3, lapsed=0, slowest-ms=2.1
         */
        "Rally-Receipt": string;
        /**
         * @description The remaining requests of the calling key's rate limit (`"rally-key"`) and quota (`"rally-quota"`): `r` now, and more in `t` seconds (draft-ietf-httpapi-ratelimit-headers-11)
         * @example "rally-key";r=99;t=1
         */
        RateLimit: string;
        /**
         * @description The calling key's rate limit (`"rally-key"`) and quota (`"rally-quota"`), if it has them: `q` requests in `w` seconds (draft-ietf-httpapi-ratelimit-headers-11)
         * @example "rally-key";q=100;w=60
         */
        "RateLimit-Policy": string;
        /**
         * @description Try again after this number of seconds
         * @example 1
         */
        "Retry-After": number;
        /**
         * @description When the secret in the request stops to work (RFC 8594)
         * @example Wed, 25 Nov 2026 08:00:00 GMT
         */
        Sunset: string;
        /**
         * @description The request's span, if the service exports traces (a draft of the W3C, in the form of `traceparent`)
         * @example 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
         */
        traceresponse: string;
        /**
         * @description How to authenticate (RFC 6750)
         * @example Bearer realm="rally-api-keys"
         */
        "WWW-Authenticate": string;
        /**
         * @description With `limit`: the number of items on all pages
         * @example 250
         */
        "X-Total-Count": number;
        /**
         * @description The tenant's slug
         * @example acme
         */
        "X-Rally-Tenant": string;
        /**
         * @description The tenant's id
         * @example 01a2073f-9c11-7d3e-8f60-5b1d2c3a4e5f
         */
        "X-Rally-Tenant-Id": string;
        /**
         * @description `api-key:<id>` or `user:<name>`, the name percent-encoded
         * @example api-key:a1b2c3d4-e5f6-7890-abcd-ef1234567890
         */
        "X-Rally-Principal": string;
        /**
         * @description The caller's scopes, comma-separated
         * @example read,write
         */
        "X-Rally-Scopes": string;
        /**
         * @description The key's id; empty for a user
         * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
         */
        "X-Rally-Key-Id": string;
        /**
         * @description The problem's `code`
         * @example invalid_key
         */
        "X-Rally-Error": string;
        /**
         * @description When the calling key expires, if it does
         * @example 2030-01-01T00:00:00Z
         */
        "X-Rally-Key-Expires": string;
        /**
         * @description The request's id: the request's own `X-Request-Id` if it is valid, otherwise a new one
         * @example 8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10
         */
        "X-Request-Id": string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    checkGet: {
        parameters: {
            query?: {
                /**
                 * @description An additional scope that the original request needs. Unknown parameters are refused
                 * @example admin
                 */
                scope?: components["schemas"]["Scope"];
                /**
                 * @description `429`: a request that exceeds its key's limits gets the status 429 instead of 403
                 * @example 429
                 */
                limited?: string;
            };
            header?: {
                /**
                 * @description The same as `scope`, for gateways that append their client's query; only peers in TRUSTED_PROXIES may send it
                 * @example admin
                 */
                "X-Rally-Required-Scope"?: string;
                /**
                 * @description The check is decided by a state that contains this revision, or responds with 503; only peers in TRUSTED_PROXIES
                 *     may send it
                 * @example 01a2073f-ad52-724d-9ab3-01acd5b13093
                 */
                "X-Rally-Min-Revision"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Forwarded-Method"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Original-Method"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It may pass. All of these headers are there, empty where there is no value. */
            200: {
                headers: {
                    /**
                     * @description When the key ends; empty if it does not
                     * @example 2030-01-01T00:00:00Z
                     */
                    "X-Rally-Key-Expires"?: string;
                    "X-Rally-Key-Id": components["headers"]["X-Rally-Key-Id"];
                    "X-Rally-Principal": components["headers"]["X-Rally-Principal"];
                    "X-Rally-Scopes": components["headers"]["X-Rally-Scopes"];
                    "X-Rally-Tenant": components["headers"]["X-Rally-Tenant"];
                    "X-Rally-Tenant-Id": components["headers"]["X-Rally-Tenant-Id"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired`, `tenant_not_found` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `rate_limited`, `quota_exceeded`, `invalid_request` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `revision_not_reached`, `internal_error` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    checkPut: {
        parameters: {
            query?: {
                /**
                 * @description An additional scope that the original request needs. Unknown parameters are refused
                 * @example admin
                 */
                scope?: components["schemas"]["Scope"];
                /**
                 * @description `429`: a request that exceeds its key's limits gets the status 429 instead of 403
                 * @example 429
                 */
                limited?: string;
            };
            header?: {
                /**
                 * @description The same as `scope`, for gateways that append their client's query; only peers in TRUSTED_PROXIES may send it
                 * @example admin
                 */
                "X-Rally-Required-Scope"?: string;
                /**
                 * @description The check is decided by a state that contains this revision, or responds with 503; only peers in TRUSTED_PROXIES
                 *     may send it
                 * @example 01a2073f-ad52-724d-9ab3-01acd5b13093
                 */
                "X-Rally-Min-Revision"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Forwarded-Method"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Original-Method"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It may pass. All of these headers are there, empty where there is no value. */
            200: {
                headers: {
                    /**
                     * @description When the key ends; empty if it does not
                     * @example 2030-01-01T00:00:00Z
                     */
                    "X-Rally-Key-Expires"?: string;
                    "X-Rally-Key-Id": components["headers"]["X-Rally-Key-Id"];
                    "X-Rally-Principal": components["headers"]["X-Rally-Principal"];
                    "X-Rally-Scopes": components["headers"]["X-Rally-Scopes"];
                    "X-Rally-Tenant": components["headers"]["X-Rally-Tenant"];
                    "X-Rally-Tenant-Id": components["headers"]["X-Rally-Tenant-Id"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired`, `tenant_not_found` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `rate_limited`, `quota_exceeded`, `invalid_request` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `revision_not_reached`, `internal_error` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    checkPost: {
        parameters: {
            query?: {
                /**
                 * @description An additional scope that the original request needs. Unknown parameters are refused
                 * @example admin
                 */
                scope?: components["schemas"]["Scope"];
                /**
                 * @description `429`: a request that exceeds its key's limits gets the status 429 instead of 403
                 * @example 429
                 */
                limited?: string;
            };
            header?: {
                /**
                 * @description The same as `scope`, for gateways that append their client's query; only peers in TRUSTED_PROXIES may send it
                 * @example admin
                 */
                "X-Rally-Required-Scope"?: string;
                /**
                 * @description The check is decided by a state that contains this revision, or responds with 503; only peers in TRUSTED_PROXIES
                 *     may send it
                 * @example 01a2073f-ad52-724d-9ab3-01acd5b13093
                 */
                "X-Rally-Min-Revision"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Forwarded-Method"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Original-Method"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It may pass. All of these headers are there, empty where there is no value. */
            200: {
                headers: {
                    /**
                     * @description When the key ends; empty if it does not
                     * @example 2030-01-01T00:00:00Z
                     */
                    "X-Rally-Key-Expires"?: string;
                    "X-Rally-Key-Id": components["headers"]["X-Rally-Key-Id"];
                    "X-Rally-Principal": components["headers"]["X-Rally-Principal"];
                    "X-Rally-Scopes": components["headers"]["X-Rally-Scopes"];
                    "X-Rally-Tenant": components["headers"]["X-Rally-Tenant"];
                    "X-Rally-Tenant-Id": components["headers"]["X-Rally-Tenant-Id"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired`, `tenant_not_found` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `rate_limited`, `quota_exceeded`, `invalid_request` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `revision_not_reached`, `internal_error` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    checkDelete: {
        parameters: {
            query?: {
                /**
                 * @description An additional scope that the original request needs. Unknown parameters are refused
                 * @example admin
                 */
                scope?: components["schemas"]["Scope"];
                /**
                 * @description `429`: a request that exceeds its key's limits gets the status 429 instead of 403
                 * @example 429
                 */
                limited?: string;
            };
            header?: {
                /**
                 * @description The same as `scope`, for gateways that append their client's query; only peers in TRUSTED_PROXIES may send it
                 * @example admin
                 */
                "X-Rally-Required-Scope"?: string;
                /**
                 * @description The check is decided by a state that contains this revision, or responds with 503; only peers in TRUSTED_PROXIES
                 *     may send it
                 * @example 01a2073f-ad52-724d-9ab3-01acd5b13093
                 */
                "X-Rally-Min-Revision"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Forwarded-Method"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Original-Method"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It may pass. All of these headers are there, empty where there is no value. */
            200: {
                headers: {
                    /**
                     * @description When the key ends; empty if it does not
                     * @example 2030-01-01T00:00:00Z
                     */
                    "X-Rally-Key-Expires"?: string;
                    "X-Rally-Key-Id": components["headers"]["X-Rally-Key-Id"];
                    "X-Rally-Principal": components["headers"]["X-Rally-Principal"];
                    "X-Rally-Scopes": components["headers"]["X-Rally-Scopes"];
                    "X-Rally-Tenant": components["headers"]["X-Rally-Tenant"];
                    "X-Rally-Tenant-Id": components["headers"]["X-Rally-Tenant-Id"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired`, `tenant_not_found` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `rate_limited`, `quota_exceeded`, `invalid_request` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `revision_not_reached`, `internal_error` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    checkOptions: {
        parameters: {
            query?: {
                /**
                 * @description An additional scope that the original request needs. Unknown parameters are refused
                 * @example admin
                 */
                scope?: components["schemas"]["Scope"];
                /**
                 * @description `429`: a request that exceeds its key's limits gets the status 429 instead of 403
                 * @example 429
                 */
                limited?: string;
            };
            header?: {
                /**
                 * @description The same as `scope`, for gateways that append their client's query; only peers in TRUSTED_PROXIES may send it
                 * @example admin
                 */
                "X-Rally-Required-Scope"?: string;
                /**
                 * @description The check is decided by a state that contains this revision, or responds with 503; only peers in TRUSTED_PROXIES
                 *     may send it
                 * @example 01a2073f-ad52-724d-9ab3-01acd5b13093
                 */
                "X-Rally-Min-Revision"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Forwarded-Method"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Original-Method"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It may pass. All of these headers are there, empty where there is no value. */
            200: {
                headers: {
                    /**
                     * @description When the key ends; empty if it does not
                     * @example 2030-01-01T00:00:00Z
                     */
                    "X-Rally-Key-Expires"?: string;
                    "X-Rally-Key-Id": components["headers"]["X-Rally-Key-Id"];
                    "X-Rally-Principal": components["headers"]["X-Rally-Principal"];
                    "X-Rally-Scopes": components["headers"]["X-Rally-Scopes"];
                    "X-Rally-Tenant": components["headers"]["X-Rally-Tenant"];
                    "X-Rally-Tenant-Id": components["headers"]["X-Rally-Tenant-Id"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired`, `tenant_not_found` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `rate_limited`, `quota_exceeded`, `invalid_request` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `revision_not_reached`, `internal_error` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    checkHead: {
        parameters: {
            query?: {
                /**
                 * @description An additional scope that the original request needs. Unknown parameters are refused
                 * @example admin
                 */
                scope?: components["schemas"]["Scope"];
                /**
                 * @description `429`: a request that exceeds its key's limits gets the status 429 instead of 403
                 * @example 429
                 */
                limited?: string;
            };
            header?: {
                /**
                 * @description The same as `scope`, for gateways that append their client's query; only peers in TRUSTED_PROXIES may send it
                 * @example admin
                 */
                "X-Rally-Required-Scope"?: string;
                /**
                 * @description The check is decided by a state that contains this revision, or responds with 503; only peers in TRUSTED_PROXIES
                 *     may send it
                 * @example 01a2073f-ad52-724d-9ab3-01acd5b13093
                 */
                "X-Rally-Min-Revision"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Forwarded-Method"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Original-Method"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It may pass. All of these headers are there, empty where there is no value. */
            200: {
                headers: {
                    /**
                     * @description When the key ends; empty if it does not
                     * @example 2030-01-01T00:00:00Z
                     */
                    "X-Rally-Key-Expires"?: string;
                    "X-Rally-Key-Id": components["headers"]["X-Rally-Key-Id"];
                    "X-Rally-Principal": components["headers"]["X-Rally-Principal"];
                    "X-Rally-Scopes": components["headers"]["X-Rally-Scopes"];
                    "X-Rally-Tenant": components["headers"]["X-Rally-Tenant"];
                    "X-Rally-Tenant-Id": components["headers"]["X-Rally-Tenant-Id"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired`, `tenant_not_found` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `rate_limited`, `quota_exceeded`, `invalid_request` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `revision_not_reached`, `internal_error` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    checkPatch: {
        parameters: {
            query?: {
                /**
                 * @description An additional scope that the original request needs. Unknown parameters are refused
                 * @example admin
                 */
                scope?: components["schemas"]["Scope"];
                /**
                 * @description `429`: a request that exceeds its key's limits gets the status 429 instead of 403
                 * @example 429
                 */
                limited?: string;
            };
            header?: {
                /**
                 * @description The same as `scope`, for gateways that append their client's query; only peers in TRUSTED_PROXIES may send it
                 * @example admin
                 */
                "X-Rally-Required-Scope"?: string;
                /**
                 * @description The check is decided by a state that contains this revision, or responds with 503; only peers in TRUSTED_PROXIES
                 *     may send it
                 * @example 01a2073f-ad52-724d-9ab3-01acd5b13093
                 */
                "X-Rally-Min-Revision"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Forwarded-Method"?: string;
                /**
                 * @description The original request's method
                 * @example POST
                 */
                "X-Original-Method"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It may pass. All of these headers are there, empty where there is no value. */
            200: {
                headers: {
                    /**
                     * @description When the key ends; empty if it does not
                     * @example 2030-01-01T00:00:00Z
                     */
                    "X-Rally-Key-Expires"?: string;
                    "X-Rally-Key-Id": components["headers"]["X-Rally-Key-Id"];
                    "X-Rally-Principal": components["headers"]["X-Rally-Principal"];
                    "X-Rally-Scopes": components["headers"]["X-Rally-Scopes"];
                    "X-Rally-Tenant": components["headers"]["X-Rally-Tenant"];
                    "X-Rally-Tenant-Id": components["headers"]["X-Rally-Tenant-Id"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired`, `tenant_not_found` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `rate_limited`, `quota_exceeded`, `invalid_request` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `revision_not_reached`, `internal_error` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    "X-Rally-Error": components["headers"]["X-Rally-Error"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    isAlive: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The process runs */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok"
                     *     }
                     */
                    "application/json": components["schemas"]["Alive"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listApiKeys: {
        parameters: {
            query?: {
                /**
                 * @description Only keys with one of these states, comma-separated (default: all)
                 * @example active,expired
                 */
                status?: string;
                /**
                 * @description Only keys whose name or description contains this text, in any case and script, or whose current secret ends in these 4 digits
                 * @example zapier
                 */
                search?: string;
                /**
                 * @description Only keys that have this scope, also if another one implies it
                 * @example admin
                 */
                scope?: components["schemas"]["Scope"];
                /**
                 * @description Only keys whose `createdBy` is exactly this
                 * @example admin@acme.com
                 */
                createdBy?: string;
                /**
                 * @description Only keys that expire before this time, or have expired
                 * @example 2030-01-01T00:00:00Z
                 */
                expiresBefore?: string;
                /**
                 * @description Only keys that were not used for this number of days; a key that was never used counts from its creation
                 * @example 90
                 */
                unusedForDays?: number;
                /**
                 * @description The order, descending with `-` (default: `-createdAt`). Equal keys are ordered by id. A key that was never used is before all others by `lastUsedAt`, one that never expires after all others by `expiresAt`
                 * @example -lastUsedAt
                 */
                sort?: components["schemas"]["KeySort"];
                /**
                 * @description `usage`: with the requests of each of the last 30 days. Needs a `limit` of at most 100
                 * @example usage
                 */
                include?: "usage";
                /**
                 * @description The maximum number of items (default: all)
                 * @example 100
                 */
                limit?: number;
                /**
                 * @description The start of the page: the cursor of a `Link` header, unchanged. Needs `limit`.
                 * @example AQAGYO483xYAobLD1OX2eJCrze8SNFZ4kA
                 */
                cursor?: string;
            };
            header?: {
                /**
                 * @description Only if the list's `ETag`, which is of all that the response shows, is none of these
                 * @example W/"mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The keys */
            200: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    Link: components["headers"]["Link"];
                    "X-Total-Count": components["headers"]["X-Total-Count"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "keyPrefix": "rk_live_",
                     *         "name": "Zapier Sync",
                     *         "scopes": "read,write",
                     *         "expiresAt": "2030-01-01T00:00:00Z",
                     *         "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *         "isActive": true,
                     *         "createdAt": "2026-11-23T09:30:00Z",
                     *         "createdBy": "admin@acme.com",
                     *         "keyHint": "rk_live_…9f02",
                     *         "revokedAt": null,
                     *         "status": "active",
                     *         "rotation": {
                     *           "previousKeyHint": "rk_live_…1b4c",
                     *           "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *           "previousLastUsedAt": "2026-11-24T11:47:30.118204Z"
                     *         },
                     *         "description": "Nightly sync of deals",
                     *         "suspendedUntil": null,
                     *         "allowedAddresses": [
                     *           "203.0.113.0/24"
                     *         ],
                     *         "rateLimit": {
                     *           "requests": 600,
                     *           "windowSeconds": 60
                     *         },
                     *         "quota": {
                     *           "requests": 100000,
                     *           "per": "day"
                     *         }
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["ApiKeyResponse"][];
                };
            };
            /** @description The list is as `If-None-Match` names it */
            304: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Choose a random one for each request. For 24 hours, the same request with the same value makes no second secret, and gets
                 *     the same response. Bare or in double quotes
                 * @example 9f5c1e5e-6d3b-4d5c-8f0a-2f7b3c6d4e10
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "Zapier Sync",
                 *       "scopes": "read,write",
                 *       "expiresAt": "2030-01-01T00:00:00Z",
                 *       "description": "Nightly sync of deals",
                 *       "allowedAddresses": [
                 *         "203.0.113.0/24"
                 *       ],
                 *       "rateLimit": {
                 *         "requests": 600,
                 *         "windowSeconds": 60
                 *       },
                 *       "quota": {
                 *         "requests": 100000,
                 *         "per": "day"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["CreateApiKeyRequest"];
            };
        };
        responses: {
            /** @description The key with its secret, which no later response contains, but that to a repetition with the same `Idempotency-Key` */
            201: {
                headers: {
                    Location: components["headers"]["Location"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "key": "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "keyHint": "rk_live_…1b4c",
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyCreatedResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `idempotency_key_in_use`, `idempotency_key_expired` */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `idempotency_key_reused`, `policy_violation` */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getOwnApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key */
            200: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *       "isActive": true,
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "createdBy": "admin@acme.com",
                     *       "keyHint": "rk_live_…9f02",
                     *       "revokedAt": null,
                     *       "status": "active",
                     *       "rotation": {
                     *         "previousKeyHint": "rk_live_…1b4c",
                     *         "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *         "previousLastUsedAt": "2026-11-24T11:47:30.118204Z"
                     *       },
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyResponse"];
                };
            };
            /** @description The key is as `If-None-Match` names it */
            304: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `key_required` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revokeOwnApiKey: {
        parameters: {
            query?: {
                /**
                 * @description Why, for the audit trail (blank: not said). Control characters, invisible characters and the form of a secret are refused
                 * @example Replaced by the key of the new ETL job
                 */
                reason?: string;
            };
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key is revoked, and the time of `Prefer: wait` is over: the body says what is outstanding */
            202: {
                headers: {
                    /**
                     * @description The absolute URL of the receipt
                     * @example https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093
                     */
                    Location?: string;
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *       "isComplete": false,
                     *       "instances": 3,
                     *       "acknowledged": 2,
                     *       "lapsed": 0,
                     *       "slowestMs": 2.1,
                     *       "outstanding": [
                     *         "5f0c7f5e-7d0f-4a52-9d0b-6f7a0e6f4c1d"
                     *       ],
                     *       "completeWithinSeconds": 4
                     *     }
                     */
                    "application/json": components["schemas"]["ReceiptResponse"];
                };
            };
            /** @description The key is revoked */
            204: {
                headers: {
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `key_required` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    rotateOwnApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
                /**
                 * @description Choose a random one for each request. For 24 hours, the same request with the same value makes no second secret, and gets
                 *     the same response. Bare or in double quotes
                 * @example 9f5c1e5e-6d3b-4d5c-8f0a-2f7b3c6d4e10
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "overlapSeconds": 3600
                 *     }
                 */
                "application/json": components["schemas"]["RotateApiKeyRequest"];
            };
        };
        responses: {
            /** @description The key with its new secret, which no later response contains, but that to a repetition with the same `Idempotency-Key` */
            200: {
                headers: {
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "key": "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "keyHint": "rk_live_…1b4c",
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyCreatedResponse"];
                };
            };
            /** @description The key has a new secret, and the time of `Prefer: wait` is over: the body says what is outstanding */
            202: {
                headers: {
                    /**
                     * @description The absolute URL of the receipt
                     * @example https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093
                     */
                    Location?: string;
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "key": "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "keyHint": "rk_live_…1b4c",
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyCreatedResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `key_required`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `idempotency_key_in_use`, `idempotency_key_expired`, `key_revoked`, `key_expired` */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `idempotency_key_reused`, `policy_violation` */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded`, `too_many_rotations` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    endOwnPreviousSecret: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The previous secret is ended, and the time of `Prefer: wait` is over: the body says what is outstanding */
            202: {
                headers: {
                    /**
                     * @description The absolute URL of the receipt
                     * @example https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093
                     */
                    Location?: string;
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *       "isComplete": false,
                     *       "instances": 3,
                     *       "acknowledged": 2,
                     *       "lapsed": 0,
                     *       "slowestMs": 2.1,
                     *       "outstanding": [
                     *         "5f0c7f5e-7d0f-4a52-9d0b-6f7a0e6f4c1d"
                     *       ],
                     *       "completeWithinSeconds": 4
                     *     }
                     */
                    "application/json": components["schemas"]["ReceiptResponse"];
                };
            };
            /** @description The key has no previous secret that works */
            204: {
                headers: {
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `key_required`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getOwnUsage: {
        parameters: {
            query?: {
                /**
                 * @description The first hour or day is the one that contains this time (default: 30 days ago)
                 * @example 2026-11-22T00:00:00Z
                 */
                from?: string;
                /**
                 * @description The end, exclusive (default: now): the last hour or day is the one that contains the moment before it; at most 10,000
                 *     buckets
                 * @example 2026-11-24T00:00:00Z
                 */
                to?: string;
                /**
                 * @description The length of a bucket, in UTC (default: day)
                 * @example hour
                 */
                interval?: components["schemas"]["UsageInterval"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Every bucket from `from` to `to` */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "interval": "day",
                     *       "from": "2026-11-22T00:00:00Z",
                     *       "to": "2026-11-24T00:00:00Z",
                     *       "requests": 1204,
                     *       "denied": 3,
                     *       "buckets": [
                     *         {
                     *           "start": "2026-11-22T00:00:00Z",
                     *           "requests": 0,
                     *           "denied": 0,
                     *           "deniedByReason": {
                     *             "expired": 0,
                     *             "scope": 0,
                     *             "revoked": 0,
                     *             "suspended": 0,
                     *             "address": 0,
                     *             "rateLimit": 0,
                     *             "quota": 0
                     *           }
                     *         },
                     *         {
                     *           "start": "2026-11-23T00:00:00Z",
                     *           "requests": 1204,
                     *           "denied": 3,
                     *           "deniedByReason": {
                     *             "expired": 0,
                     *             "scope": 3,
                     *             "revoked": 0,
                     *             "suspended": 0,
                     *             "address": 0,
                     *             "rateLimit": 0,
                     *             "quota": 0
                     *           }
                     *         }
                     *       ],
                     *       "secrets": [
                     *         {
                     *           "keyHint": "rk_live_…1b4c",
                     *           "createdAt": "2026-11-23T09:30:00Z",
                     *           "retiredAt": null,
                     *           "expiresAt": null,
                     *           "lastUsedAt": "2026-11-23T17:02:11.482913Z",
                     *           "lastAddress": "203.0.113.7",
                     *           "lastUserAgent": "etl/2.1"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyUsageResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `key_required` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listOwnCallers: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The latest callers, at most 60 s behind */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "address": "203.0.113.7",
                     *         "userAgent": "etl/2.1",
                     *         "firstSeenAt": "2026-11-23T09:31:40.027518Z",
                     *         "lastSeenAt": "2026-11-23T17:02:11.482913Z",
                     *         "requests": 1201,
                     *         "secret": "current"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["ApiKeyCallerResponse"][];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `key_required` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getUsage: {
        parameters: {
            query?: {
                /**
                 * @description The first hour or day is the one that contains this time (default: 30 days ago)
                 * @example 2026-11-22T00:00:00Z
                 */
                from?: string;
                /**
                 * @description The end, exclusive (default: now): the last hour or day is the one that contains the moment before it; at most 10,000
                 *     buckets
                 * @example 2026-11-24T00:00:00Z
                 */
                to?: string;
                /**
                 * @description The length of a bucket, in UTC (default: day)
                 * @example hour
                 */
                interval?: components["schemas"]["UsageInterval"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Every bucket from `from` to `to` */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "interval": "day",
                     *       "from": "2026-11-22T00:00:00Z",
                     *       "to": "2026-11-24T00:00:00Z",
                     *       "requests": 1204,
                     *       "denied": 3,
                     *       "buckets": [
                     *         {
                     *           "start": "2026-11-22T00:00:00Z",
                     *           "requests": 0,
                     *           "denied": 0,
                     *           "deniedByReason": {
                     *             "expired": 0,
                     *             "scope": 0,
                     *             "revoked": 0,
                     *             "suspended": 0,
                     *             "address": 0,
                     *             "rateLimit": 0,
                     *             "quota": 0
                     *           }
                     *         },
                     *         {
                     *           "start": "2026-11-23T00:00:00Z",
                     *           "requests": 1204,
                     *           "denied": 3,
                     *           "deniedByReason": {
                     *             "expired": 0,
                     *             "scope": 3,
                     *             "revoked": 0,
                     *             "suspended": 0,
                     *             "address": 0,
                     *             "rateLimit": 0,
                     *             "quota": 0
                     *           }
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["TenantUsageResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listOwnEvents: {
        parameters: {
            query?: {
                /**
                 * @description Only events of these types, comma-separated (default: all): created, updated, rotated, previous_secret_ended, suspended, resumed, revoked, receipt, secret_reused, idle_notice, leaked, decoy_used, exposed, policy_changed
                 * @example created,rotated
                 */
                type?: string;
                /**
                 * @description Only events whose `actor` is exactly this: as `createdBy`, or `api-key:` and a key's id
                 * @example admin@acme.com
                 */
                actor?: string;
                /**
                 * @description Only events at this time or later
                 * @example 2026-11-01T00:00:00Z
                 */
                since?: string;
                /**
                 * @description Only events before this time
                 * @example 2026-12-01T00:00:00Z
                 */
                until?: string;
                /**
                 * @description The maximum number of items (default: all)
                 * @example 100
                 */
                limit?: number;
                /**
                 * @description The start of the page: the cursor of a `Link` header, unchanged. Needs `limit`.
                 * @example AQAGYO483xYAobLD1OX2eJCrze8SNFZ4kA
                 */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    "X-Total-Count": components["headers"]["X-Total-Count"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13097",
                     *         "type": "policy_changed",
                     *         "keyId": null,
                     *         "occurredAt": "2026-11-28T09:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "from": {
                     *             "maxLifetimeDays": null,
                     *             "maxActiveKeys": 200,
                     *             "idleSuspendDays": 90,
                     *             "allowedScopes": "read,write",
                     *             "requireAllowedAddresses": true,
                     *             "onLeak": "revoke",
                     *             "defaultRateLimit": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "to": {
                     *             "maxLifetimeDays": 365,
                     *             "maxActiveKeys": 200,
                     *             "idleSuspendDays": 90,
                     *             "allowedScopes": "read,write",
                     *             "requireAllowedAddresses": true,
                     *             "onLeak": "revoke",
                     *             "defaultRateLimit": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13098",
                     *         "type": "idle_notice",
                     *         "keyId": "b7d40c1e-62a9-4f0b-8d15-3ce8a1f07b26",
                     *         "occurredAt": "2026-11-27T05:00:00Z",
                     *         "actor": null,
                     *         "address": null,
                     *         "requestId": "idle-keys",
                     *         "details": {
                     *           "name": "Old export",
                     *           "keyHint": "rk_live_…77d0",
                     *           "lastUsedAt": "2026-09-05T04:41:09.318206Z",
                     *           "idleSuspendDays": 90,
                     *           "suspendAt": "2026-12-04T05:00:00Z"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309a",
                     *         "type": "decoy_used",
                     *         "keyId": "c0ffee00-62a9-4f0b-8d15-3ce8a1f07b26",
                     *         "occurredAt": "2026-11-27T03:14:15Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…05aa",
                     *           "userAgent": "curl/8.5.0"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13094",
                     *         "type": "secret_reused",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-27T03:12:55Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…1b4c"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309b",
                     *         "type": "exposed",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T18:30:00Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…9f02",
                     *           "userAgent": "etl/2.1"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309c",
                     *         "type": "receipt",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00.004Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *           "instances": 3,
                     *           "acknowledged": 3,
                     *           "lapsed": 0,
                     *           "slowestMs": 2.1,
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13099",
                     *         "type": "leaked",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "secret": "current",
                     *           "action": "revoked",
                     *           "url": "https://github.com/octocat/Hello-World/blob/main/.env",
                     *           "otherUrls": [],
                     *           "reportedBy": "github"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *         "type": "revoked",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…1b4c",
                     *           "scopes": "read,write",
                     *           "expiresAt": null,
                     *           "allowedAddresses": [
                     *             "203.0.113.0/24"
                     *           ],
                     *           "rateLimit": {
                     *             "requests": 600,
                     *             "windowSeconds": 60
                     *           },
                     *           "quota": {
                     *             "requests": 100000,
                     *             "per": "day"
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13096",
                     *         "type": "resumed",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-25T10:20:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "until": null,
                     *           "reason": "The writes were meant",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13095",
                     *         "type": "suspended",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-25T10:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "until": "2026-11-25T18:00:00Z",
                     *           "reason": "Too many writes; under investigation",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13092",
                     *         "type": "previous_secret_ended",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-24T12:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "previousKeyHint": "rk_live_…1b4c",
                     *           "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13091",
                     *         "type": "rotated",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-24T08:00:00Z",
                     *         "actor": "api-key:a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "overlapSeconds": 86400,
                     *           "previousKeyHint": "rk_live_…1b4c",
                     *           "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *           "endedKeyHint": null,
                     *           "keyHint": "rk_live_…9f02",
                     *           "actorKeyHint": "rk_live_…1b4c"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13090",
                     *         "type": "updated",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-23T10:15:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": {
                     *             "from": "Zapier",
                     *             "to": "Zapier Sync"
                     *           },
                     *           "expiresAt": {
                     *             "from": null,
                     *             "to": "2030-01-01T00:00:00Z"
                     *           },
                     *           "description": {
                     *             "from": null,
                     *             "to": "Nightly sync of deals"
                     *           },
                     *           "allowedAddresses": {
                     *             "from": [],
                     *             "to": [
                     *               "203.0.113.0/24"
                     *             ]
                     *           },
                     *           "rateLimit": {
                     *             "from": null,
                     *             "to": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "quota": {
                     *             "from": null,
                     *             "to": {
                     *               "requests": 100000,
                     *               "per": "day"
                     *             }
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13089",
                     *         "type": "created",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-23T09:30:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…1b4c",
                     *           "scopes": "read,write",
                     *           "expiresAt": null,
                     *           "allowedAddresses": [
                     *             "203.0.113.0/24"
                     *           ],
                     *           "rateLimit": {
                     *             "requests": 600,
                     *             "windowSeconds": 60
                     *           },
                     *           "quota": {
                     *             "requests": 100000,
                     *             "per": "day"
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["ApiKeyEventResponse"][];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `key_required` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listEvents: {
        parameters: {
            query?: {
                /**
                 * @description Only events of this key
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                keyId?: string;
                /**
                 * @description Only events of these types, comma-separated (default: all): created, updated, rotated, previous_secret_ended, suspended, resumed, revoked, receipt, secret_reused, idle_notice, leaked, decoy_used, exposed, policy_changed
                 * @example created,rotated
                 */
                type?: string;
                /**
                 * @description Only events whose `actor` is exactly this: as `createdBy`, or `api-key:` and a key's id
                 * @example admin@acme.com
                 */
                actor?: string;
                /**
                 * @description Only events at this time or later
                 * @example 2026-11-01T00:00:00Z
                 */
                since?: string;
                /**
                 * @description Only events before this time
                 * @example 2026-12-01T00:00:00Z
                 */
                until?: string;
                /**
                 * @description The maximum number of items (default: all)
                 * @example 100
                 */
                limit?: number;
                /**
                 * @description The start of the page: the cursor of a `Link` header, unchanged. Needs `limit`.
                 * @example AQAGYO483xYAobLD1OX2eJCrze8SNFZ4kA
                 */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    "X-Total-Count": components["headers"]["X-Total-Count"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13097",
                     *         "type": "policy_changed",
                     *         "keyId": null,
                     *         "occurredAt": "2026-11-28T09:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "from": {
                     *             "maxLifetimeDays": null,
                     *             "maxActiveKeys": 200,
                     *             "idleSuspendDays": 90,
                     *             "allowedScopes": "read,write",
                     *             "requireAllowedAddresses": true,
                     *             "onLeak": "revoke",
                     *             "defaultRateLimit": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "to": {
                     *             "maxLifetimeDays": 365,
                     *             "maxActiveKeys": 200,
                     *             "idleSuspendDays": 90,
                     *             "allowedScopes": "read,write",
                     *             "requireAllowedAddresses": true,
                     *             "onLeak": "revoke",
                     *             "defaultRateLimit": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13098",
                     *         "type": "idle_notice",
                     *         "keyId": "b7d40c1e-62a9-4f0b-8d15-3ce8a1f07b26",
                     *         "occurredAt": "2026-11-27T05:00:00Z",
                     *         "actor": null,
                     *         "address": null,
                     *         "requestId": "idle-keys",
                     *         "details": {
                     *           "name": "Old export",
                     *           "keyHint": "rk_live_…77d0",
                     *           "lastUsedAt": "2026-09-05T04:41:09.318206Z",
                     *           "idleSuspendDays": 90,
                     *           "suspendAt": "2026-12-04T05:00:00Z"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309a",
                     *         "type": "decoy_used",
                     *         "keyId": "c0ffee00-62a9-4f0b-8d15-3ce8a1f07b26",
                     *         "occurredAt": "2026-11-27T03:14:15Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…05aa",
                     *           "userAgent": "curl/8.5.0"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13094",
                     *         "type": "secret_reused",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-27T03:12:55Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…1b4c"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309b",
                     *         "type": "exposed",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T18:30:00Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…9f02",
                     *           "userAgent": "etl/2.1"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309c",
                     *         "type": "receipt",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00.004Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *           "instances": 3,
                     *           "acknowledged": 3,
                     *           "lapsed": 0,
                     *           "slowestMs": 2.1,
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13099",
                     *         "type": "leaked",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "secret": "current",
                     *           "action": "revoked",
                     *           "url": "https://github.com/octocat/Hello-World/blob/main/.env",
                     *           "otherUrls": [],
                     *           "reportedBy": "github"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *         "type": "revoked",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…1b4c",
                     *           "scopes": "read,write",
                     *           "expiresAt": null,
                     *           "allowedAddresses": [
                     *             "203.0.113.0/24"
                     *           ],
                     *           "rateLimit": {
                     *             "requests": 600,
                     *             "windowSeconds": 60
                     *           },
                     *           "quota": {
                     *             "requests": 100000,
                     *             "per": "day"
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13096",
                     *         "type": "resumed",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-25T10:20:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "until": null,
                     *           "reason": "The writes were meant",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13095",
                     *         "type": "suspended",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-25T10:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "until": "2026-11-25T18:00:00Z",
                     *           "reason": "Too many writes; under investigation",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13092",
                     *         "type": "previous_secret_ended",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-24T12:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "previousKeyHint": "rk_live_…1b4c",
                     *           "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13091",
                     *         "type": "rotated",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-24T08:00:00Z",
                     *         "actor": "api-key:a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "overlapSeconds": 86400,
                     *           "previousKeyHint": "rk_live_…1b4c",
                     *           "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *           "endedKeyHint": null,
                     *           "keyHint": "rk_live_…9f02",
                     *           "actorKeyHint": "rk_live_…1b4c"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13090",
                     *         "type": "updated",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-23T10:15:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": {
                     *             "from": "Zapier",
                     *             "to": "Zapier Sync"
                     *           },
                     *           "expiresAt": {
                     *             "from": null,
                     *             "to": "2030-01-01T00:00:00Z"
                     *           },
                     *           "description": {
                     *             "from": null,
                     *             "to": "Nightly sync of deals"
                     *           },
                     *           "allowedAddresses": {
                     *             "from": [],
                     *             "to": [
                     *               "203.0.113.0/24"
                     *             ]
                     *           },
                     *           "rateLimit": {
                     *             "from": null,
                     *             "to": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "quota": {
                     *             "from": null,
                     *             "to": {
                     *               "requests": 100000,
                     *               "per": "day"
                     *             }
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13089",
                     *         "type": "created",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-23T09:30:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…1b4c",
                     *           "scopes": "read,write",
                     *           "expiresAt": null,
                     *           "allowedAddresses": [
                     *             "203.0.113.0/24"
                     *           ],
                     *           "rateLimit": {
                     *             "requests": 600,
                     *             "windowSeconds": 60
                     *           },
                     *           "quota": {
                     *             "requests": 100000,
                     *             "per": "day"
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["ApiKeyEventResponse"][];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getPolicy: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The policy */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "maxLifetimeDays": 365,
                     *       "maxActiveKeys": 200,
                     *       "idleSuspendDays": 90,
                     *       "allowedScopes": "read,write",
                     *       "requireAllowedAddresses": true,
                     *       "onLeak": "revoke",
                     *       "defaultRateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "activeKeys": 17,
                     *       "violationCount": 1,
                     *       "violations": [
                     *         {
                     *           "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "rules": [
                     *             {
                     *               "rule": "maxLifetimeDays",
                     *               "limit": 365,
                     *               "value": null
                     *             }
                     *           ],
                     *           "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *           "lastAddress": "203.0.113.7",
                     *           "lastUserAgent": "etl/2.1"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["PolicyResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    putPolicy: {
        parameters: {
            query?: {
                /**
                 * @description `true`: changes nothing, and responds with the keys that would break the rules
                 * @example true
                 */
                dryRun?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "maxLifetimeDays": 365,
                 *       "maxActiveKeys": 200,
                 *       "idleSuspendDays": 90,
                 *       "allowedScopes": "read,write",
                 *       "requireAllowedAddresses": true,
                 *       "onLeak": "revoke",
                 *       "defaultRateLimit": {
                 *         "requests": 600,
                 *         "windowSeconds": 60
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["PolicyRequest"];
            };
        };
        responses: {
            /** @description The policy */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "maxLifetimeDays": 365,
                     *       "maxActiveKeys": 200,
                     *       "idleSuspendDays": 90,
                     *       "allowedScopes": "read,write",
                     *       "requireAllowedAddresses": true,
                     *       "onLeak": "revoke",
                     *       "defaultRateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "activeKeys": 17,
                     *       "violationCount": 1,
                     *       "violations": [
                     *         {
                     *           "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "rules": [
                     *             {
                     *               "rule": "maxLifetimeDays",
                     *               "limit": 365,
                     *               "value": null
                     *             }
                     *           ],
                     *           "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *           "lastAddress": "203.0.113.7",
                     *           "lastUserAgent": "etl/2.1"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["PolicyResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getReceipt: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
            };
            path: {
                /**
                 * @description The change: the id of its event
                 * @example 01a2073f-ad52-724d-9ab3-01acd5b13093
                 */
                revision: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The receipt, complete or not */
            200: {
                headers: {
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *       "isComplete": false,
                     *       "instances": 3,
                     *       "acknowledged": 2,
                     *       "lapsed": 0,
                     *       "slowestMs": 2.1,
                     *       "outstanding": [
                     *         "5f0c7f5e-7d0f-4a52-9d0b-6f7a0e6f4c1d"
                     *       ],
                     *       "completeWithinSeconds": 4
                     *     }
                     */
                    "application/json": components["schemas"]["ReceiptResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `receipt_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listApiKeyEvents: {
        parameters: {
            query?: {
                /**
                 * @description Only events of these types, comma-separated (default: all): created, updated, rotated, previous_secret_ended, suspended, resumed, revoked, receipt, secret_reused, idle_notice, leaked, decoy_used, exposed, policy_changed
                 * @example created,rotated
                 */
                type?: string;
                /**
                 * @description Only events whose `actor` is exactly this: as `createdBy`, or `api-key:` and a key's id
                 * @example admin@acme.com
                 */
                actor?: string;
                /**
                 * @description Only events at this time or later
                 * @example 2026-11-01T00:00:00Z
                 */
                since?: string;
                /**
                 * @description Only events before this time
                 * @example 2026-12-01T00:00:00Z
                 */
                until?: string;
                /**
                 * @description The maximum number of items (default: all)
                 * @example 100
                 */
                limit?: number;
                /**
                 * @description The start of the page: the cursor of a `Link` header, unchanged. Needs `limit`.
                 * @example AQAGYO483xYAobLD1OX2eJCrze8SNFZ4kA
                 */
                cursor?: string;
            };
            header?: never;
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events */
            200: {
                headers: {
                    Link: components["headers"]["Link"];
                    "X-Total-Count": components["headers"]["X-Total-Count"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13097",
                     *         "type": "policy_changed",
                     *         "keyId": null,
                     *         "occurredAt": "2026-11-28T09:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "from": {
                     *             "maxLifetimeDays": null,
                     *             "maxActiveKeys": 200,
                     *             "idleSuspendDays": 90,
                     *             "allowedScopes": "read,write",
                     *             "requireAllowedAddresses": true,
                     *             "onLeak": "revoke",
                     *             "defaultRateLimit": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "to": {
                     *             "maxLifetimeDays": 365,
                     *             "maxActiveKeys": 200,
                     *             "idleSuspendDays": 90,
                     *             "allowedScopes": "read,write",
                     *             "requireAllowedAddresses": true,
                     *             "onLeak": "revoke",
                     *             "defaultRateLimit": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13098",
                     *         "type": "idle_notice",
                     *         "keyId": "b7d40c1e-62a9-4f0b-8d15-3ce8a1f07b26",
                     *         "occurredAt": "2026-11-27T05:00:00Z",
                     *         "actor": null,
                     *         "address": null,
                     *         "requestId": "idle-keys",
                     *         "details": {
                     *           "name": "Old export",
                     *           "keyHint": "rk_live_…77d0",
                     *           "lastUsedAt": "2026-09-05T04:41:09.318206Z",
                     *           "idleSuspendDays": 90,
                     *           "suspendAt": "2026-12-04T05:00:00Z"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309a",
                     *         "type": "decoy_used",
                     *         "keyId": "c0ffee00-62a9-4f0b-8d15-3ce8a1f07b26",
                     *         "occurredAt": "2026-11-27T03:14:15Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…05aa",
                     *           "userAgent": "curl/8.5.0"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13094",
                     *         "type": "secret_reused",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-27T03:12:55Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…1b4c"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309b",
                     *         "type": "exposed",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T18:30:00Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "keyHint": "rk_live_…9f02",
                     *           "userAgent": "etl/2.1"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b1309c",
                     *         "type": "receipt",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00.004Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *           "instances": 3,
                     *           "acknowledged": 3,
                     *           "lapsed": 0,
                     *           "slowestMs": 2.1,
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13099",
                     *         "type": "leaked",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00Z",
                     *         "actor": null,
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "secret": "current",
                     *           "action": "revoked",
                     *           "url": "https://github.com/octocat/Hello-World/blob/main/.env",
                     *           "otherUrls": [],
                     *           "reportedBy": "github"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *         "type": "revoked",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-26T16:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…1b4c",
                     *           "scopes": "read,write",
                     *           "expiresAt": null,
                     *           "allowedAddresses": [
                     *             "203.0.113.0/24"
                     *           ],
                     *           "rateLimit": {
                     *             "requests": 600,
                     *             "windowSeconds": 60
                     *           },
                     *           "quota": {
                     *             "requests": 100000,
                     *             "per": "day"
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13096",
                     *         "type": "resumed",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-25T10:20:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "until": null,
                     *           "reason": "The writes were meant",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13095",
                     *         "type": "suspended",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-25T10:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…9f02",
                     *           "until": "2026-11-25T18:00:00Z",
                     *           "reason": "Too many writes; under investigation",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13092",
                     *         "type": "previous_secret_ended",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-24T12:00:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "previousKeyHint": "rk_live_…1b4c",
                     *           "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13091",
                     *         "type": "rotated",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-24T08:00:00Z",
                     *         "actor": "api-key:a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "overlapSeconds": 86400,
                     *           "previousKeyHint": "rk_live_…1b4c",
                     *           "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *           "endedKeyHint": null,
                     *           "keyHint": "rk_live_…9f02",
                     *           "actorKeyHint": "rk_live_…1b4c"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13090",
                     *         "type": "updated",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-23T10:15:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": {
                     *             "from": "Zapier",
                     *             "to": "Zapier Sync"
                     *           },
                     *           "expiresAt": {
                     *             "from": null,
                     *             "to": "2030-01-01T00:00:00Z"
                     *           },
                     *           "description": {
                     *             "from": null,
                     *             "to": "Nightly sync of deals"
                     *           },
                     *           "allowedAddresses": {
                     *             "from": [],
                     *             "to": [
                     *               "203.0.113.0/24"
                     *             ]
                     *           },
                     *           "rateLimit": {
                     *             "from": null,
                     *             "to": {
                     *               "requests": 600,
                     *               "windowSeconds": 60
                     *             }
                     *           },
                     *           "quota": {
                     *             "from": null,
                     *             "to": {
                     *               "requests": 100000,
                     *               "per": "day"
                     *             }
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       },
                     *       {
                     *         "id": "01a2073f-ad52-724d-9ab3-01acd5b13089",
                     *         "type": "created",
                     *         "keyId": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "occurredAt": "2026-11-23T09:30:00Z",
                     *         "actor": "admin@acme.com",
                     *         "address": "203.0.113.7",
                     *         "requestId": "8e3c1f6a-5d0b-4c8e-9a51-2f3b7c6d4e10",
                     *         "details": {
                     *           "name": "Zapier Sync",
                     *           "keyHint": "rk_live_…1b4c",
                     *           "scopes": "read,write",
                     *           "expiresAt": null,
                     *           "allowedAddresses": [
                     *             "203.0.113.0/24"
                     *           ],
                     *           "rateLimit": {
                     *             "requests": 600,
                     *             "windowSeconds": 60
                     *           },
                     *           "quota": {
                     *             "requests": 100000,
                     *             "per": "day"
                     *           },
                     *           "actorSubject": "8d1f0c52"
                     *         }
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["ApiKeyEventResponse"][];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getApiKeyUsage: {
        parameters: {
            query?: {
                /**
                 * @description The first hour or day is the one that contains this time (default: 30 days ago)
                 * @example 2026-11-22T00:00:00Z
                 */
                from?: string;
                /**
                 * @description The end, exclusive (default: now): the last hour or day is the one that contains the moment before it; at most 10,000
                 *     buckets
                 * @example 2026-11-24T00:00:00Z
                 */
                to?: string;
                /**
                 * @description The length of a bucket, in UTC (default: day)
                 * @example hour
                 */
                interval?: components["schemas"]["UsageInterval"];
            };
            header?: never;
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Every bucket from `from` to `to` */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "interval": "day",
                     *       "from": "2026-11-22T00:00:00Z",
                     *       "to": "2026-11-24T00:00:00Z",
                     *       "requests": 1204,
                     *       "denied": 3,
                     *       "buckets": [
                     *         {
                     *           "start": "2026-11-22T00:00:00Z",
                     *           "requests": 0,
                     *           "denied": 0,
                     *           "deniedByReason": {
                     *             "expired": 0,
                     *             "scope": 0,
                     *             "revoked": 0,
                     *             "suspended": 0,
                     *             "address": 0,
                     *             "rateLimit": 0,
                     *             "quota": 0
                     *           }
                     *         },
                     *         {
                     *           "start": "2026-11-23T00:00:00Z",
                     *           "requests": 1204,
                     *           "denied": 3,
                     *           "deniedByReason": {
                     *             "expired": 0,
                     *             "scope": 3,
                     *             "revoked": 0,
                     *             "suspended": 0,
                     *             "address": 0,
                     *             "rateLimit": 0,
                     *             "quota": 0
                     *           }
                     *         }
                     *       ],
                     *       "secrets": [
                     *         {
                     *           "keyHint": "rk_live_…1b4c",
                     *           "createdAt": "2026-11-23T09:30:00Z",
                     *           "retiredAt": null,
                     *           "expiresAt": null,
                     *           "lastUsedAt": "2026-11-23T17:02:11.482913Z",
                     *           "lastAddress": "203.0.113.7",
                     *           "lastUserAgent": "etl/2.1"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyUsageResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listApiKeyCallers: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The latest callers, at most 60 s behind */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "address": "203.0.113.7",
                     *         "userAgent": "etl/2.1",
                     *         "firstSeenAt": "2026-11-23T09:31:40.027518Z",
                     *         "lastSeenAt": "2026-11-23T17:02:11.482913Z",
                     *         "requests": 1201,
                     *         "secret": "current"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["ApiKeyCallerResponse"][];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    rotateApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
                /**
                 * @description Choose a random one for each request. For 24 hours, the same request with the same value makes no second secret, and gets
                 *     the same response. Bare or in double quotes
                 * @example 9f5c1e5e-6d3b-4d5c-8f0a-2f7b3c6d4e10
                 */
                "Idempotency-Key"?: string;
            };
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "overlapSeconds": 3600
                 *     }
                 */
                "application/json": components["schemas"]["RotateApiKeyRequest"];
            };
        };
        responses: {
            /** @description The key with its new secret, which no later response contains, but that to a repetition with the same `Idempotency-Key` */
            200: {
                headers: {
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "key": "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "keyHint": "rk_live_…1b4c",
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyCreatedResponse"];
                };
            };
            /** @description The key has a new secret, and the time of `Prefer: wait` is over: the body says what is outstanding */
            202: {
                headers: {
                    /**
                     * @description The absolute URL of the receipt
                     * @example https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093
                     */
                    Location?: string;
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "key": "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "keyHint": "rk_live_…1b4c",
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyCreatedResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `idempotency_key_in_use`, `idempotency_key_expired`, `key_revoked`, `key_expired` */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `idempotency_key_reused`, `policy_violation` */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded`, `too_many_rotations` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    suspendApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
            };
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "until": "2026-11-25T18:00:00Z",
                 *       "reason": "Too many writes; under investigation"
                 *     }
                 */
                "application/json": components["schemas"]["SuspendApiKeyRequest"];
            };
        };
        responses: {
            /** @description The suspended key */
            200: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *       "isActive": true,
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "createdBy": "admin@acme.com",
                     *       "keyHint": "rk_live_…9f02",
                     *       "revokedAt": null,
                     *       "status": "active",
                     *       "rotation": {
                     *         "previousKeyHint": "rk_live_…1b4c",
                     *         "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *         "previousLastUsedAt": "2026-11-24T11:47:30.118204Z"
                     *       },
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyResponse"];
                };
            };
            /** @description The key is suspended, and the time of `Prefer: wait` is over: the body says what is outstanding */
            202: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    /**
                     * @description The absolute URL of the receipt
                     * @example https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093
                     */
                    Location?: string;
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *       "isActive": true,
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "createdBy": "admin@acme.com",
                     *       "keyHint": "rk_live_…9f02",
                     *       "revokedAt": null,
                     *       "status": "active",
                     *       "rotation": {
                     *         "previousKeyHint": "rk_live_…1b4c",
                     *         "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *         "previousLastUsedAt": "2026-11-24T11:47:30.118204Z"
                     *       },
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `key_revoked` */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    resumeApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
            };
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "reason": "The writes were meant"
                 *     }
                 */
                "application/json": components["schemas"]["ResumeApiKeyRequest"];
            };
        };
        responses: {
            /** @description The key, which is not suspended */
            200: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *       "isActive": true,
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "createdBy": "admin@acme.com",
                     *       "keyHint": "rk_live_…9f02",
                     *       "revokedAt": null,
                     *       "status": "active",
                     *       "rotation": {
                     *         "previousKeyHint": "rk_live_…1b4c",
                     *         "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *         "previousLastUsedAt": "2026-11-24T11:47:30.118204Z"
                     *       },
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `key_revoked` */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    endPreviousSecret: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
            };
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The previous secret is ended, and the time of `Prefer: wait` is over: the body says what is outstanding */
            202: {
                headers: {
                    /**
                     * @description The absolute URL of the receipt
                     * @example https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093
                     */
                    Location?: string;
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *       "isComplete": false,
                     *       "instances": 3,
                     *       "acknowledged": 2,
                     *       "lapsed": 0,
                     *       "slowestMs": 2.1,
                     *       "outstanding": [
                     *         "5f0c7f5e-7d0f-4a52-9d0b-6f7a0e6f4c1d"
                     *       ],
                     *       "completeWithinSeconds": 4
                     *     }
                     */
                    "application/json": components["schemas"]["ReceiptResponse"];
                };
            };
            /** @description The key has no previous secret that works */
            204: {
                headers: {
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
            };
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key */
            200: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *       "isActive": true,
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "createdBy": "admin@acme.com",
                     *       "keyHint": "rk_live_…9f02",
                     *       "revokedAt": null,
                     *       "status": "active",
                     *       "rotation": {
                     *         "previousKeyHint": "rk_live_…1b4c",
                     *         "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *         "previousLastUsedAt": "2026-11-24T11:47:30.118204Z"
                     *       },
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyResponse"];
                };
            };
            /** @description The key is as `If-None-Match` names it */
            304: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revokeApiKey: {
        parameters: {
            query?: {
                /**
                 * @description Why, for the audit trail (blank: not said). Control characters, invisible characters and the form of a secret are refused
                 * @example Replaced by the key of the new ETL job
                 */
                reason?: string;
            };
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
            };
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key is revoked, and the time of `Prefer: wait` is over: the body says what is outstanding */
            202: {
                headers: {
                    /**
                     * @description The absolute URL of the receipt
                     * @example https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093
                     */
                    Location?: string;
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "revision": "01a2073f-ad52-724d-9ab3-01acd5b13093",
                     *       "isComplete": false,
                     *       "instances": 3,
                     *       "acknowledged": 2,
                     *       "lapsed": 0,
                     *       "slowestMs": 2.1,
                     *       "outstanding": [
                     *         "5f0c7f5e-7d0f-4a52-9d0b-6f7a0e6f4c1d"
                     *       ],
                     *       "completeWithinSeconds": 4
                     *     }
                     */
                    "application/json": components["schemas"]["ReceiptResponse"];
                };
            };
            /** @description The key is revoked */
            204: {
                headers: {
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    updateApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
                 * @example *
                 */
                "If-Match"?: string;
                /**
                 * @description Only if the key's `ETag` is none of these
                 * @example "1-mR9vXo2cQ4eTyU7b"
                 */
                "If-None-Match"?: string;
                /**
                 * @description `wait=N` (RFC 7240): wait at most so many seconds for the proof that no instance uses a state from before the
                 *     change any more. Anything else is ignored
                 * @example wait=10
                 */
                Prefer?: string;
            };
            path: {
                /**
                 * @description Unique key identifier
                 * @example a1b2c3d4-e5f6-7890-abcd-ef1234567890
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "Zapier Sync",
                 *       "scopes": "read"
                 *     }
                 */
                "application/json": components["schemas"]["UpdateApiKeyRequest"];
                /**
                 * @example {
                 *       "name": "Zapier Sync",
                 *       "scopes": "read"
                 *     }
                 */
                "application/merge-patch+json": components["schemas"]["UpdateApiKeyRequest"];
            };
        };
        responses: {
            /** @description The changed key */
            200: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "Rally-Receipt": components["headers"]["Rally-Receipt"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *       "isActive": true,
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "createdBy": "admin@acme.com",
                     *       "keyHint": "rk_live_…9f02",
                     *       "revokedAt": null,
                     *       "status": "active",
                     *       "rotation": {
                     *         "previousKeyHint": "rk_live_…1b4c",
                     *         "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *         "previousLastUsedAt": "2026-11-24T11:47:30.118204Z"
                     *       },
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyResponse"];
                };
            };
            /** @description The key is changed, and the time of `Prefer: wait` is over: the body says what is outstanding */
            202: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    /**
                     * @description The absolute URL of the receipt
                     * @example https://your-tenant.rallycrm.io/api/v1/api-keys/receipts/01a2073f-ad52-724d-9ab3-01acd5b13093
                     */
                    Location?: string;
                    "Preference-Applied": components["headers"]["Preference-Applied"];
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *       "keyPrefix": "rk_live_",
                     *       "name": "Zapier Sync",
                     *       "scopes": "read,write",
                     *       "expiresAt": "2030-01-01T00:00:00Z",
                     *       "lastUsedAt": "2026-11-24T17:02:11.482913Z",
                     *       "isActive": true,
                     *       "createdAt": "2026-11-23T09:30:00Z",
                     *       "createdBy": "admin@acme.com",
                     *       "keyHint": "rk_live_…9f02",
                     *       "revokedAt": null,
                     *       "status": "active",
                     *       "rotation": {
                     *         "previousKeyHint": "rk_live_…1b4c",
                     *         "previousExpiresAt": "2026-11-25T08:00:00Z",
                     *         "previousLastUsedAt": "2026-11-24T11:47:30.118204Z"
                     *       },
                     *       "description": "Nightly sync of deals",
                     *       "suspendedUntil": null,
                     *       "allowedAddresses": [
                     *         "203.0.113.0/24"
                     *       ],
                     *       "rateLimit": {
                     *         "requests": 600,
                     *         "windowSeconds": 60
                     *       },
                     *       "quota": {
                     *         "requests": 100000,
                     *         "per": "day"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ApiKeyResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope`, `secret_retired` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found`, `key_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `key_revoked` */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `precondition_failed` */
            412: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    "Accept-Patch": components["headers"]["Accept-Patch"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `policy_violation` */
            422: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getMe: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The caller */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "principal": {
                     *         "kind": "api-key",
                     *         "id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                     *         "name": "Zapier Sync"
                     *       },
                     *       "tenant": {
                     *         "slug": "acme",
                     *         "name": "Acme"
                     *       },
                     *       "scopes": "read,write",
                     *       "canCreate": false
                     *     }
                     */
                    "application/json": components["schemas"]["MeResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `ambiguous_credentials`, `invalid_request` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `missing_credentials`, `invalid_key`, `key_expired`, `key_revoked`, `key_suspended`, `invalid_token`, `token_expired` */
            401: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `plain_http`, `address_not_allowed`, `wrong_tenant`, `insufficient_scope` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `tenant_not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `rate_limited`, `quota_exceeded` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "X-Rally-Key-Expires": components["headers"]["X-Rally-Key-Expires"];
                    Deprecation: components["headers"]["Deprecation"];
                    Sunset: components["headers"]["Sunset"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable`, `issuer_unavailable`, `timeout` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getOpenApi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "openapi": "3.1.0"
                     *     }
                     */
                    "application/json": Record<string, never>;
                };
            };
            /** @description `ambiguous_tenant`, `missing_host` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    showDocs: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example <!DOCTYPE html> */
                    "text/html": string;
                };
            };
            /** @description `ambiguous_tenant`, `missing_host` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    showConsole: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example <!DOCTYPE html> */
                    "text/html": string;
                };
            };
            /** @description `ambiguous_tenant`, `missing_host` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    reportLeaks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "secrets": [
                 *         "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c"
                 *       ],
                 *       "url": "https://github.com/octocat/Hello-World/blob/main/.env"
                 *     }
                 */
                "application/json": components["schemas"]["LeakReportRequest"];
            };
        };
        responses: {
            /** @description The report is accepted, whatever the secrets are */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "accepted"
                     *     }
                     */
                    "application/json": components["schemas"]["LeakReportResponse"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_reports` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `busy`, `database_unavailable` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    reportLeaksByGithub: {
        parameters: {
            query?: never;
            header: {
                /**
                 * @description Which of GitHub's keys signed the body
                 * @example bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c
                 */
                "Github-Public-Key-Identifier": string;
                /**
                 * @description The signature of the body: DER in base64
                 * @example MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg==
                 */
                "Github-Public-Key-Signature": string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example [
                 *       {
                 *         "token": "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c",
                 *         "type": "rally_crm_api_key",
                 *         "url": "https://github.com/octocat/Hello-World/blob/main/.env",
                 *         "source": "content"
                 *       }
                 *     ]
                 */
                "application/json": components["schemas"]["GithubMatch"][];
            };
        };
        responses: {
            /** @description A label for each match, in the same order */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "token_hash": "a51687072d5fa2d21521fb685b6459177322f27cabbb32f3976cfa7dd3ef08a7",
                     *         "token_type": "rally_crm_api_key",
                     *         "label": "true_positive"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["GithubLabel"][];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host`, `invalid_request`, `invalid_json` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `invalid_signature` */
            403: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `not_found` */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `request_timeout` */
            408: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `body_too_large` */
            413: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    Accept: components["headers"]["Accept"];
                    "Accept-Encoding": components["headers"]["Accept-Encoding"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `too_many_reports` */
            429: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `internal_error` */
            500: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `timeout`, `signing_keys_unavailable`, `busy`, `database_unavailable` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    isReady: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The service can serve requests */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Readiness"];
                };
            };
            /** @description `ambiguous_tenant`, `missing_host` */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description `database_unavailable`, `stopping` */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["X-Request-Id"];
                    traceresponse: components["headers"]["traceresponse"];
                    "Retry-After": components["headers"]["Retry-After"];
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
