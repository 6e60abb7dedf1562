// Dates, times and numbers as the reader's browser writes them, in the reader's time zone.
import { html, nothing, type TemplateResult } from 'lit';
import { texts } from './texts.js';

/** The reader's own variant of the texts' language (en-GB), so that a sentence is not in two languages. */
const locale = navigator.languages.find((tag) => tag.split('-')[0] === texts.language) ?? texts.language;

const dates = new Intl.DateTimeFormat(locale, { dateStyle: 'medium' });
const dateTimes = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
const exactTimes = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'long' });
const hours = new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' });
const days = new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' });
const shortDays = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', timeZone: 'UTC' });
const clockTimes = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' });
const numbers = new Intl.NumberFormat(locale);
const compactNumbers = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 });
const relatives = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
const lists = new Intl.ListFormat(locale, { type: 'conjunction' });

export const DAY_MS = 86_400_000;

/** Unit, its length, and from how long on it is used. */
const UNITS: [Intl.RelativeTimeFormatUnit, number, number][] = [
  ['day', DAY_MS, 1.5 * DAY_MS],
  ['hour', 3_600_000, 3_300_000],
];

export const formatDate = (at: Date | string): string => dates.format(new Date(at));
export const formatDateTime = (at: Date | string): string => dateTimes.format(new Date(at));
export const formatExact = (at: Date | string): string => exactTimes.format(new Date(at));
export const formatHour = (at: Date | string): string => hours.format(new Date(at));
/** A bucket of a day, which is a day of UTC. */
export const formatDay = (at: Date | string): string => days.format(new Date(at));
export const formatShortDay = (at: Date | string): string => shortDays.format(new Date(at));
export const formatClock = (at: Date | string): string => clockTimes.format(new Date(at));
export const formatNumber = (value: number): string => numbers.format(value);
export const formatCompact = (value: number): string => compactNumbers.format(value);
export const formatList = (items: Iterable<string>): string => lists.format(items);

/** "3 minutes ago", "in 2 days". */
export function formatRelative(at: Date | string, now = Date.now()): string {
  const difference = new Date(at).getTime() - now;
  const distance = Math.abs(difference);
  if (distance < 45_000) return difference <= 0 ? texts.time.justNow : texts.time.inAMoment;
  for (const [unit, length, from] of UNITS) {
    if (distance >= from) return relatives.format(Math.round(difference / length), unit);
  }
  return relatives.format(Math.round(difference / 60_000), 'minute');
}

/** Relative within 30 days, else the date; the exact instant on hover. */
export function time(at: string | null, none: unknown = nothing): unknown {
  if (at === null) return none;
  const isNear = Math.abs(new Date(at).getTime() - Date.now()) < 30 * DAY_MS;
  return html`<time datetime=${at} title=${formatExact(at)}>${isNear ? formatRelative(at) : formatDate(at)}</time>`;
}

/** The date and time of day; the exact instant on hover. */
export function moment(at: string): TemplateResult {
  return html`<time datetime=${at} title=${formatExact(at)}>${formatDateTime(at)}</time>`;
}

/** "90 seconds", "1 hour", in the largest unit that is whole. */
export function formatDuration(seconds: number): string {
  const [unit, length] = (
    [
      ['day', 86_400],
      ['hour', 3_600],
      ['minute', 60],
      ['second', 1],
    ] as const
  ).find(([, length]) => seconds % length === 0) ?? ['second', 1];
  return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(seconds / length);
}

/** For `<input type="datetime-local">`: the reader's own time, to the minute. */
export function toLocalInput(at: Date): string {
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}

export const plural = (count: number | null, one: string, other: string): string =>
  new Intl.PluralRules(locale).select(count ?? 2) === 'one' ? one : other;
