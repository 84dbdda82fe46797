import { formatMoney, type Money } from '@core/kernel';
import { Currency, Text } from '@io/platform';

/** An amount of money: whole minor units as a string, and the same in major units. */
export class MoneyView {
  @Text({ description: 'In minor units: cents for USD, whole yen for JPY.', example: '116550' })
  minor: string;

  @Currency()
  currency: string;

  @Text({ description: 'In major units.', example: '1165.50' })
  amount: string;
}

/** Money as the API shows it. */
export function moneyView(money: Money): MoneyView {
  return { minor: money.minor.toString(), currency: money.currency, amount: formatMoney(money) };
}
