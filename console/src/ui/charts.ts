import { html, nothing, svg } from 'lit';
import { property, state } from 'lit/decorators.js';
import type { Interval, UsageBucket } from '../api/client.js';
import { formatClock, formatCompact, formatDay, formatHour, formatNumber, formatShortDay } from '../format.js';
import { texts } from '../texts.js';
import { define, Part } from './part.js';

const SPARK_WIDTH = 120;
const SPARK_HEIGHT = 28;

/** Daily counts as small bars, the latest at the end. */
export function sparkline(counts: number[]) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const label = texts.list.usage(formatNumber(total));
  const most = Math.max(1, ...counts);
  const step = SPARK_WIDTH / counts.length;
  const bars = counts.map((count, index) => {
    if (count === 0) return '';
    const height = Math.max(2, Math.round((count / most) * SPARK_HEIGHT));
    return `M${(index * step).toFixed(1)} ${SPARK_HEIGHT - height}h${(step - 1).toFixed(1)}v${height}h-${(step - 1).toFixed(1)}z`;
  });
  return html`<span class="spark" title=${label}>
    <svg class="spark-chart" role="img" aria-label=${label} viewBox="0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}" width=${SPARK_WIDTH} height=${SPARK_HEIGHT}>
      ${svg`<path class="spark-base" d="M0 ${SPARK_HEIGHT - 0.5}H${SPARK_WIDTH}"/><path class="spark-bars" d=${bars.join('')}/>`}
    </svg>
    <span class="spark-total" aria-hidden="true">${formatCompact(total)}</span>
  </span>`;
}

const WIDTH = 720;
const HEIGHT = 160;

/** The refusals in the order in which they are stacked, above the requests that were let in. */
export const REASONS = ['expired', 'scope', 'revoked', 'suspended', 'address', 'rateLimit', 'quota'] as const;

/** Requests by hour or day: bars of what was let in, with refusals by reason on top, and the same as a table. */
export class UsageChart extends Part {
  @property({ attribute: false }) buckets: UsageBucket[] = [];
  @property() interval: Interval = 'day';
  @state() private selected: number | null = null;

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (changed.has('buckets')) this.selected = null;
  }

  protected override render() {
    const { buckets } = this;
    const requests = sum(buckets.map((bucket) => bucket.requests));
    const denied = sum(buckets.map((bucket) => bucket.denied));
    const reasons = REASONS.filter((reason) => buckets.some((bucket) => bucket.deniedByReason[reason] > 0));
    const most = niceMaximum(Math.max(1, ...buckets.map((bucket) => bucket.requests)));
    return html`
      <div class="chart-numbers">
        <span><span class="big">${formatNumber(requests - denied)}</span> ${texts.usage.accepted.toLowerCase()}</span>
        <span class=${denied > 0 ? 'refused' : 'muted'}><span class="big">${formatNumber(denied)}</span> ${texts.usage.refused('').trim()}</span>
      </div>
      <div class="chart-frame">
        <div class="chart-scale" aria-hidden="true"><span>${formatCompact(most)}</span><span>${most % 2 === 0 ? formatCompact(most / 2) : ''}</span><span>0</span></div>
        <svg
          class="chart"
          part="chart"
          role="img"
          tabindex="0"
          aria-label="${texts.usage.chart}: ${texts.usage.total(formatNumber(requests))}, ${texts.usage.refused(formatNumber(denied))}. ${texts.usage.readout}"
          viewBox="0 0 ${WIDTH} ${HEIGHT}"
          preserveAspectRatio="none"
          @keydown=${this.#key}
          @pointermove=${this.#point}
          @pointerleave=${() => (this.selected = null)}
        >
          ${svg`<path class="chart-grid" d="M0 .5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}"/>`}
          ${buckets.map((bucket, index) => this.#bar(bucket, index, most))}
        </svg>
        <div class="chart-axis" aria-hidden="true">${this.#axis()}</div>
      </div>
      <p class="chart-readout" aria-live="polite">${this.#readout(requests)}</p>
      <ul class="legend">
        <li><span class="swatch accepted"></span>${texts.usage.accepted}</li>
        ${reasons.map((reason) => {
          const count = sum(buckets.map((bucket) => bucket.deniedByReason[reason]));
          return html`<li><span class="swatch ${reason}"></span>${texts.usage.reasons[reason]} <b>${formatNumber(count)}</b></li>`;
        })}
      </ul>
      ${requests === 0 ? nothing : this.#table(reasons)}
    `;
  }

  #bar(bucket: UsageBucket, index: number, most: number) {
    const step = WIDTH / this.buckets.length;
    const gap = Math.min(2, step * 0.2);
    const x = index * step + gap / 2;
    const width = step - gap;
    let top = HEIGHT;
    const piece = (name: string, count: number) => {
      if (count === 0) return nothing;
      // At least 1.5 units, so that a single refusal among thousands is seen.
      const height = Math.max(1.5, (count / most) * (HEIGHT - 1));
      top -= height;
      return svg`<rect class="bar ${name}" x=${x} y=${top} width=${width} height=${height} />`;
    };
    return svg`<g class=${index === this.selected ? 'bucket selected' : 'bucket'}>
      <rect class="bucket-back" x=${index * step} y="0" width=${step} height=${HEIGHT} />
      ${piece('accepted', bucket.requests - bucket.denied)}
      ${REASONS.map((reason) => piece(reason, bucket.deniedByReason[reason]))}
    </g>`;
  }

  #axis() {
    const { buckets } = this;
    const marks = [0, Math.floor((buckets.length - 1) / 2), buckets.length - 1].filter((mark, index, all) => all.indexOf(mark) === index);
    return marks.map((mark) => {
      const bucket = buckets[mark];
      if (bucket === undefined) return nothing;
      const isShort = this.interval === 'hour' && buckets.length <= 25;
      return html`<span>${isShort ? formatClock(bucket.start) : this.interval === 'hour' ? formatHour(bucket.start) : formatShortDay(bucket.start)}</span>`;
    });
  }

  #start(bucket: UsageBucket): string {
    return this.interval === 'hour' ? formatHour(bucket.start) : formatDay(bucket.start);
  }

  #readout(requests: number) {
    if (requests === 0) return texts.usage.nothing;
    const bucket = this.selected === null ? undefined : this.buckets[this.selected];
    if (bucket === undefined) return texts.usage.readout;
    const refusals = REASONS.filter((reason) => bucket.deniedByReason[reason] > 0)
      .map((reason) => `${texts.usage.reasons[reason]} ${formatNumber(bucket.deniedByReason[reason])}`)
      .join(', ');
    const refused = bucket.denied > 0 ? `, ${texts.usage.refused(formatNumber(bucket.denied))} (${refusals})` : '';
    return html`<b>${this.#start(bucket)}</b>: ${texts.usage.total(formatNumber(bucket.requests))}${refused}`;
  }

  #table(reasons: readonly (typeof REASONS)[number][]) {
    const rows = this.buckets.filter((bucket) => bucket.requests > 0).reverse();
    return html`<details class="chart-table">
      <summary>${texts.usage.table}</summary>
      <div class="scroll" tabindex="0" role="group" aria-label=${texts.usage.chart}>
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">${texts.usage.columnStart}</th>
              <th scope="col" class="number">${texts.usage.columnRequests}</th>
              <th scope="col" class="number">${texts.usage.columnRefused}</th>
              ${reasons.map((reason) => html`<th scope="col" class="number">${texts.usage.reasons[reason]}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${rows.map(
              (bucket) => html`<tr>
                <th scope="row">${this.#start(bucket)}</th>
                <td class="number">${formatNumber(bucket.requests)}</td>
                <td class="number">${formatNumber(bucket.denied)}</td>
                ${reasons.map((reason) => html`<td class="number">${formatNumber(bucket.deniedByReason[reason])}</td>`)}
              </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </details>`;
  }

  readonly #point = (event: PointerEvent): void => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * this.buckets.length);
    this.selected = Math.max(0, Math.min(this.buckets.length - 1, index));
  };

  readonly #key = (event: KeyboardEvent): void => {
    const last = this.buckets.length - 1;
    const at = this.selected ?? last + 1;
    const moves: Record<string, number | null> = {
      ArrowLeft: Math.max(0, at - 1),
      ArrowRight: Math.min(last, at + 1),
      Home: 0,
      End: last,
      Escape: null,
    };
    const next = moves[event.key];
    if (next === undefined || (event.key === 'Escape' && this.selected === null)) return;
    event.preventDefault();
    this.selected = next;
  };
}
define('rally-usage-chart', UsageChart);

const sum = (counts: number[]): number => counts.reduce((total, count) => total + count, 0);

/** The next of 1, 2, 3, 4, 5, 6, 8, 10, 20, … so that the middle of the scale is a short number too. */
function niceMaximum(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value) ?? 10) * power;
}
