export {
  QUOTA_OFFSET_MAX,
  quotaPeriod,
  type QuotaInterval,
  type QuotaRule,
} from './quota-period.js';
