import type { Rate } from '../api/resources';
import type { Messages } from '../i18n';
import type { Section } from '../ui/EditorForm';

export const NEW_RATE: Rate = {
  prefix: '',
  area: '',
  price_per_minute: '',
  first_period: 1,
  cycle: 1,
  first_period_price: null,
  connection_fee: '0',
  minimum_charge: '0',
  free_seconds: 0,
  locked: false,
  level: null,
  valid_from: null,
  valid_until: null,
  hours: '',
  sections: [],
};

/** The prefix is the name of a rate, so it is given once. */
export function rateSections(t: Messages, isNew: boolean): Section[] {
  const r = t.rates;
  return [
    {
      fields: [
        { name: 'prefix', label: r.prefix, kind: 'text', needed: true, readOnly: !isNew, mono: true },
        { name: 'area', label: r.area, kind: 'text' },
        { name: 'price_per_minute', label: r.price, kind: 'decimal', needed: true },
        { name: 'first_period', label: r.firstPeriod, kind: 'whole', needed: true },
        { name: 'cycle', label: r.cycle, kind: 'whole', needed: true },
        { name: 'first_period_price', label: r.firstPrice, kind: 'decimal', nullable: true, help: r.firstPriceHelp },
        { name: 'connection_fee', label: r.connectionFee, kind: 'decimal' },
        { name: 'minimum_charge', label: r.minimumCharge, kind: 'decimal' },
        { name: 'free_seconds', label: r.freeSeconds, kind: 'whole' },
        { name: 'locked', label: r.locked, kind: 'switch', help: r.lockedHelp },
      ],
    },
  ];
}
