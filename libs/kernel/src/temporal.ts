/**
 * Calendars with time zones, DST and month-end clamping, by the standard's own algorithm (TC39 Temporal).
 * Everything that computes local dates takes it from here, so that the day Node ships it one line changes.
 */
export { Temporal } from 'temporal-polyfill';
