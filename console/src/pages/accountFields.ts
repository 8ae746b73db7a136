import type { AccountInput } from '../api/resources';
import type { Messages } from '../i18n';
import type { Section } from '../ui/EditorForm';
import { choices } from '../ui/fields';
import { listSection } from './routingFields';

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
  max_call_duration: null,
  lists: {} as AccountInput['lists'],
  notes: '',
  opening_balance: null,
};

/** The currency is chosen once: amounts that were booked cannot change theirs. */
export function accountSections(t: Messages, isNew: boolean): Section[] {
  const a = t.accounts;
  const f = t.accountFields;
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
        { name: 'number', label: f.number, kind: 'text' },
        { name: 'agent', label: f.agent, kind: 'pick', of: 'accounts', nullable: true, help: f.agentHelp },
        { name: 'time_zone', label: f.timeZone, kind: 'text', help: f.timeZoneHelp },
        { name: 'contacts', label: f.contacts, kind: 'longText' },
      ],
    },
    {
      title: a.sectionMoney,
      fields: [
        { name: 'payment', label: a.payment, kind: 'choice', options: choices(a.payments) },
        { name: 'currency', label: t.common.currency, kind: 'text', needed: true, readOnly: !isNew },
        { name: 'credit_limit', label: a.creditLimit, kind: 'decimal', nullable: true, help: a.creditHelp },
        { name: 'rate_group', label: a.rateGroup, kind: 'rateGroup', nullable: true },
        { name: 'private_rates', label: f.privateRates, kind: 'rateGroup', nullable: true, help: f.privateRatesHelp },
        { name: 'tax_rate', label: f.taxRate, kind: 'decimal' },
        { name: 'low_balance', label: f.lowBalance, kind: 'decimal', nullable: true, help: f.lowBalanceHelp },
        { name: 'anti_overdraft', label: a.antiOverdraft, kind: 'switch', help: a.antiOverdraftHelp },
        ...opening,
      ],
    },
    {
      title: a.sectionLimits,
      fields: [
        { name: 'max_concurrency', label: a.maxConcurrency, kind: 'whole', nullable: true },
        { name: 'max_cps', label: a.maxCps, kind: 'whole', nullable: true },
        { name: 'max_call_duration', label: f.longestCall, kind: 'whole', nullable: true },
        { name: 'max_minutes_per_day', label: f.minutesDay, kind: 'whole', nullable: true },
        { name: 'max_minutes_per_month', label: f.minutesMonth, kind: 'whole', nullable: true },
        { name: 'max_money_per_day', label: f.moneyDay, kind: 'decimal', nullable: true },
        { name: 'max_money_per_month', label: f.moneyMonth, kind: 'decimal', nullable: true },
        { name: 'notes', label: t.common.notes, kind: 'longText' },
      ],
    },
    listSection(t, 'lists'),
  ];
}
