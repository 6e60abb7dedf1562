import { html, nothing } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Api, Key, Page, TenantUsage } from '../api/client.js';
import { time } from '../format.js';
import { RANGES, rangeButtons, rangeStart } from '../keys/key-view.js';
import { texts } from '../texts.js';
import { sparkline } from '../ui/charts.js';
import { errorBox } from '../ui/error-box.js';
import { Clock, Load, Part, define, uniqueId } from '../ui/part.js';

const LATEST = 10;

/** The requests with all keys of the tenant, and the keys that were used last. */
export class UsageView extends Part {
  @property({ attribute: false }) api!: Api;
  @state() private range = 'month';
  private readonly usage = new Load<TenantUsage>(this);
  private readonly latest = new Load<Page<Key>>(this);
  readonly #id = uniqueId();

  constructor() {
    super();
    new Clock(this);
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('api')) void this.reload();
  }

  async reload(): Promise<void> {
    const latest = () => this.api.list({ sort: '-lastUsedAt', limit: LATEST, include: 'usage', status: 'active,suspended,expired' });
    await Promise.all([this.#loadUsage(), this.latest.run(latest)]);
  }

  async #loadUsage(): Promise<void> {
    const range = RANGES[this.range];
    if (range !== undefined) await this.usage.run(() => this.api.tenantUsage(rangeStart(range), range.interval));
  }

  protected override render() {
    const { value, error, slow } = this.usage;
    const used = this.latest.value?.items.filter((key) => key.lastUsedAt !== null) ?? [];
    return html`
      <div class="view-head">
        <div>
          <h1 class="title" tabindex="-1">${texts.usage.tenantTitle}</h1>
          <p class="muted">${texts.usage.tenantIntro}</p>
        </div>
        ${rangeButtons(this.range, (range) => {
          this.range = range;
          void this.#loadUsage();
        })}
      </div>
      ${errorBox(error, () => this.reload())}
      ${value === undefined
        ? nothing
        : html`<section class="card" aria-label=${texts.usage.chart}><rally-usage-chart .buckets=${value.buckets} interval=${value.interval}></rally-usage-chart></section>`}
      ${slow ? html`<p class="slow" role="status">${texts.common.slow}</p>` : nothing}
      ${used.length === 0
        ? nothing
        : html`<section class="card" aria-labelledby="${this.#id}-latest">
            <h2 class="section-title" id="${this.#id}-latest">${texts.usage.latest}</h2>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="${this.#id}-latest">
              <table class="plain">
                <thead>
                  <tr><th scope="col">${texts.list.columnName}</th><th scope="col">${texts.list.columnUsage}</th><th scope="col">${texts.list.columnLastUsed}</th></tr>
                </thead>
                <tbody>
                  ${used.map(
                    (key) => html`<tr>
                      <td><a class="key-name link" href="#/keys/${key.id}">${key.name}</a></td>
                      <td>${sparkline(key.usage ?? [])}</td>
                      <td>${time(key.lastUsedAt)}</td>
                    </tr>`,
                  )}
                </tbody>
              </table>
            </div>
          </section>`}
    `;
  }
}
define('rally-usage-view', UsageView);
