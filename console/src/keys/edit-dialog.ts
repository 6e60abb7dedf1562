import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Key, Policy, UpdateRequest, Versioned } from '../api/client.js';
import { formatDateTime, time } from '../format.js';
import { texts } from '../texts.js';
import { actorText, quotaText, rateText, scopeLevel } from '../ui/badges.js';
import { Dialog } from '../ui/dialog.js';
import { errorBox } from '../ui/error-box.js';
import { asApiError, define } from '../ui/part.js';
import { type Draft, type FieldErrors, checkDraft, draftOf, fieldErrors, updateRequest } from './draft.js';
import './key-form.js';
import type { KeyForm } from './key-form.js';

interface Conflict {
  theirs: Versioned<Key>;
  mine: UpdateRequest;
  actor: string | null;
  at: string | null;
}

const FIELDS = ['name', 'description', 'scopes', 'expiresAt', 'allowedAddresses', 'rateLimit', 'quota'] as const;

/** Changes a key; shows what somebody else changed in the meantime. */
export class EditDialog extends Dialog {
  @property({ attribute: false }) opened!: Versioned<Key>;
  @property() granted = 'admin';
  @state() private base!: Versioned<Key>;
  @state() private policy: Policy | null = null;
  @state() private errors: FieldErrors = {};
  @state() private conflict: Conflict | null = null;
  @state() private draft!: Draft;
  readonly #now = Date.now();

  override connectedCallback(): void {
    super.connectedCallback();
    this.base = this.opened;
    this.draft = draftOf(this.base.value);
    this.api.policy().then(
      (policy) => (this.policy = policy),
      () => {},
    );
  }

  get form(): KeyForm | null {
    return this.find<KeyForm>('rally-key-form');
  }

  protected override render() {
    return this.conflict === null ? this.#editor() : this.#showConflict(this.conflict);
  }

  #editor() {
    const showsError = this.error !== null && Object.keys(this.errors).length === 0;
    return this.frame(
      texts.form.editTitle,
      html`<form id="edit-form" novalidate @submit=${this.#submit}>
        ${showsError ? errorBox(this.error, this.#submit, false) : nothing}
        <rally-key-form
          .initial=${this.draft}
          .errors=${this.errors}
          .policy=${this.policy}
          .currentEnd=${this.base.value.expiresAt}
          granted=${this.granted}
          .now=${this.#now}
        ></rally-key-form>
      </form>`,
      html`<button type="button" class="button" ?disabled=${this.busy} @click=${() => this.close()}>${texts.common.cancel}</button>
        <button type="submit" form="edit-form" class="button primary" ?disabled=${this.busy}>${this.busy ? texts.common.saving : texts.common.save}</button>`,
      { wide: true },
    );
  }

  #showConflict({ theirs, mine, actor, at }: Conflict) {
    const t = texts.conflict;
    const before = this.base.value;
    const changed = FIELDS.filter((field) => field in mine || differs(before[field], theirs.value[field]));
    const isRevoked = theirs.value.status === 'revoked';
    return this.frame(
      t.title,
      html`<div class="conflict" role="alert">
        ${at === null ? nothing : html`<p>${t.by(actorText(actor))} ${time(at)}.</p>`}
        ${isRevoked ? html`<p class="field-error">${t.revoked}</p>` : nothing}
        ${errorBox(this.error)}
        <div class="scroll" tabindex="0" role="group" aria-label=${t.title}>
          <table class="plain compare">
            <thead>
              <tr><th scope="col">${t.field}</th><th scope="col">${t.before}</th><th scope="col">${t.theirs}</th><th scope="col">${t.yours}</th></tr>
            </thead>
            <tbody>
              ${changed.map(
                (field) => html`<tr>
                  <th scope="row">${texts.events.fields[field]}</th>
                  <td>${shown(before, field)}</td>
                  <td class=${differs(before[field], theirs.value[field]) ? 'differs' : ''}>${differs(before[field], theirs.value[field]) ? shown(theirs.value, field) : html`<span class="muted">${t.unchanged}</span>`}</td>
                  <td class=${field in mine ? 'differs' : ''}>${field in mine ? shown({ ...before, ...mine } as Key, field) : html`<span class="muted">${t.unchanged}</span>`}</td>
                </tr>`,
              )}
            </tbody>
          </table>
        </div>
      </div>`,
      html`<button type="button" class="button" data-focus ?disabled=${this.busy} @click=${this.#takeTheirs}>${t.takeTheirs}</button>
        ${isRevoked ? nothing : html`<button type="button" class="button primary" ?disabled=${this.busy} @click=${this.#saveMine}>${this.busy ? texts.common.saving : t.saveMine}</button>`}`,
      { wide: true },
    );
  }

  readonly #submit = async (event?: Event): Promise<void> => {
    event?.preventDefault();
    const draft = this.form?.draft;
    if (draft === undefined) return;
    this.draft = draft;
    this.errors = checkDraft(draft, this.#now);
    if (Object.keys(this.errors).length === 0) {
      const request = updateRequest(draft, this.base.value, this.#now);
      if (Object.keys(request).length === 0) {
        this.close();
        return;
      }
      await this.attempt(() => this.#save(request));
    }
    await this.updateComplete;
    await this.form?.updateComplete;
    this.find<HTMLElement>('[aria-invalid="true"]')?.focus();
  };

  async #save(request: UpdateRequest): Promise<void> {
    try {
      const saved = await this.api.update(this.base.value.id, request, this.base.etag);
      this.emit('key-changed', saved.value.id);
      this.busy = false;
      this.close();
    } catch (error) {
      const failure = asApiError(error);
      if (failure.code === 'precondition_failed' || failure.code === 'key_revoked') {
        await this.#findConflict(request);
        return;
      }
      this.errors = fieldErrors(failure, this.draft) ?? {};
      throw failure;
    }
  }

  async #findConflict(mine: UpdateRequest): Promise<void> {
    const [theirs, events] = await Promise.all([
      this.api.key(this.base.value.id),
      this.api.keyEvents(this.base.value.id, { limit: 1 }),
    ]);
    const event = events.items[0];
    this.conflict = { theirs, mine, actor: event?.actor ?? null, at: event?.occurredAt ?? null };
    await this.updateComplete;
    this.find<HTMLElement>('[data-focus]')?.focus();
  }

  readonly #takeTheirs = (): void => {
    this.emit('key-changed', this.base.value.id);
    this.close();
  };

  /** Mine goes over theirs, on the version that was just shown: a further change shows up as a conflict again. */
  readonly #saveMine = async (): Promise<void> => {
    const { conflict } = this;
    if (conflict === null) return;
    await this.attempt(async () => {
      const before = this.base;
      this.base = conflict.theirs;
      try {
        await this.#save(conflict.mine);
      } catch (error) {
        this.base = before;
        if (Object.keys(this.errors).length > 0) this.conflict = null;
        throw error;
      }
    });
  };
}
define('rally-edit-dialog', EditDialog);

const differs = (one: unknown, other: unknown): boolean => JSON.stringify(one) !== JSON.stringify(other);

function shown(key: Key, field: (typeof FIELDS)[number]): string {
  switch (field) {
    case 'scopes':
      return texts.scopes[scopeLevel(key.scopes)];
    case 'expiresAt':
      return key.expiresAt === null ? texts.time.never : formatDateTime(key.expiresAt);
    case 'allowedAddresses':
      return key.allowedAddresses.length === 0 ? texts.key.addressesAny : key.allowedAddresses.join(', ');
    case 'rateLimit':
      return rateText(key.rateLimit);
    case 'quota':
      return quotaText(key.quota);
    default:
      return key[field] ?? texts.common.none;
  }
}
