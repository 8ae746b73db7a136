/** One side's charge, step by step, so that it can be checked with a pocket calculator. */
import type { CdrRate } from '../api/resources';
import { useText } from '../i18n';
import { billOf } from '../lib/billing';
import { amount, count, decimalText, duration, price } from '../lib/format';
import { Panel } from './Page';

interface BillViewProps {
  title: string;
  rate: CdrRate | null | undefined;
}

export function BillView({ title, rate }: BillViewProps) {
  const t = useText();
  if (!rate || rate.billed_s === 0) {
    return (
      <Panel title={title}>
        <p className="muted">{t.record.notCharged}</p>
      </Panel>
    );
  }
  const talkSeconds = rate.billed_s;
  const bill = billOf(talkSeconds, rate, rate.amount);
  return (
    <Panel title={title} right={amount(rate.amount, rate.currency, 4)}>
      <p className="muted">
        {t.record.rateOf(rate.prefix, rate.area)}: {t.record.perMinute(price(rate.price_per_minute))},{' '}
        {rate.first_period}/{rate.cycle}
        {' · '}
        {t.record.talk} {duration(talkSeconds)} ({count(talkSeconds)} s)
      </p>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t.record.step}</th>
            <th scope="col" className="number">
              {t.record.seconds}
            </th>
            <th scope="col" className="number">
              {t.record.amount}
            </th>
          </tr>
        </thead>
        <tbody>
          {bill.steps.map((step) => (
            <tr key={step.kind}>
              <td>
                {t.record.steps[step.kind]}
                {step.kind === 'cycles' && (
                  <span className="muted"> · {t.record.cyclesOf(step.times, Math.max(1, rate.cycle))}</span>
                )}
              </td>
              <td className="number">{step.seconds > 0 ? count(step.seconds) : ''}</td>
              <td className="number">{decimalText(step.amount)}</td>
            </tr>
          ))}
          <tr className="table-total">
            <td>{t.record.total}</td>
            <td className="number">{count(bill.chargedSeconds)}</td>
            <td className="number">{decimalText(bill.total)}</td>
          </tr>
        </tbody>
      </table>
    </Panel>
  );
}
