import type { AccountInput } from '../api/resources';
import type { Messages } from '../i18n';
import type { Section } from '../ui/EditorForm';
import { choices } from '../ui/fields';

export const NEW_ACCOUNT: AccountInput = {
  name: '',
  kind: 'customer',
  number: '',
  agent: null,
  payment: 'prepaid',
  currency: 'USD',
  credit_limit: '0',
  rate_group: null,
  private_rates: null,
  status: 'normal',
  valid_until: null,
  anti_overdraft: true,
  max_concurrency: null,
  max_cps: null,
  max_minutes_per_day: null,
  max_minutes_per_month: null,
  max_money_per_day: null,
  max_money_per_month: null,
  time_zone: 'UTC',
  tax_rate: '0',
  low_balance: null,
  contacts: '',
  notes: '',
  opening_balance: null,
};

/** The currency is chosen once: amounts that were booked cannot change theirs. */
export function accountSections(t: Messages, isNew: boolean): Section[] {
  const a = t.accounts;
  const opening: Section['fields'] = isNew
    ? [{ name: 'opening_balance', label: a.openingBalance, kind: 'decimal', nullable: true, help: a.openingHelp }]
    : [];
  return [
    {
      title: a.sectionBasic,
      fields: [
        { name: 'name', label: t.common.name, kind: 'text', needed: true },
        { name: 'kind', label: a.kind, kind: 'choice', options: choices(a.kinds) },
        { name: 'status', label: a.status, kind: 'choice', options: choices(a.statuses) },
        { name: 'valid_until', label: a.validUntil, kind: 'text', nullable: true, help: a.validUntilHelp },
      ],
    },
    {
      title: a.sectionMoney,
      fields: [
        { name: 'payment', label: a.payment, kind: 'choice', options: choices(a.payments) },
        { name: 'currency', label: t.common.currency, kind: 'text', needed: true, readOnly: !isNew },
        { name: 'credit_limit', label: a.creditLimit, kind: 'decimal', nullable: true, help: a.creditHelp },
        { name: 'rate_group', label: a.rateGroup, kind: 'rateGroup', nullable: true },
        { name: 'anti_overdraft', label: a.antiOverdraft, kind: 'switch', help: a.antiOverdraftHelp },
        ...opening,
      ],
    },
    {
      title: a.sectionLimits,
      fields: [
        { name: 'max_concurrency', label: a.maxConcurrency, kind: 'whole', nullable: true },
        { name: 'max_cps', label: a.maxCps, kind: 'whole', nullable: true },
        { name: 'notes', label: t.common.notes, kind: 'longText' },
      ],
    },
  ];
}
