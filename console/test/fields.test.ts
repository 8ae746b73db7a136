import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NEW_ACCOUNT } from '../src/pages/accountFields';
import { NEW_CALENDAR, specialDay } from '../src/pages/Calendars';
import { NEW_GATEWAY_GROUP } from '../src/pages/GatewayGroups';
import { NEW_MAPPING } from '../src/pages/MappingGateway';
import { NEW_NUMBER_LIST } from '../src/pages/NumberLists';
import { NEW_PHONE } from '../src/pages/Phone';
import { NEW_ROUTING } from '../src/pages/RoutingGateway';
import { prefixRule, proportion } from '../src/pages/routingFields';
import { type Field, fromForm, toForm } from '../src/ui/fields';

const document = JSON.parse(readFileSync(join(import.meta.dirname, '../../openapi.json'), 'utf8')) as {
  components: { schemas: Record<string, { properties: Record<string, unknown> }> };
};

// A form sends what it shows and what the start names; a field in neither would be lost with the first save.
test.each([
  ['AccountInput', NEW_ACCOUNT],
  ['MappingGatewayInput', NEW_MAPPING],
  ['RoutingGatewayInput', NEW_ROUTING],
  ['PhoneInput', NEW_PHONE],
  ['CalendarInput', NEW_CALENDAR],
  ['GatewayGroupInput', NEW_GATEWAY_GROUP],
  ['NumberListInput', NEW_NUMBER_LIST],
])('the start of a form names every field of %s', (schema, start) => {
  const known = Object.keys(start).filter((name) => name !== 'password');
  expect(known.sort()).toEqual(
    Object.keys(document.components.schemas[schema]?.properties ?? {})
      .filter((name) => name !== 'password')
      .sort(),
  );
});

const FIELDS: Field[] = [
  { name: 'name', label: '', kind: 'text' },
  { name: 'routing.calendar', label: '', kind: 'pick', of: 'calendars', nullable: true },
  { name: 'routing.numbers.called.min_length', label: '', kind: 'whole', nullable: true },
  { name: 'routing.prefixes', label: '', kind: 'lines', codec: prefixRule },
];

test('fields deep in a document change nothing beside them', () => {
  const before = {
    name: 'a',
    routing: {
      calendar: 'Nights',
      scheduled_rewrites: [{ calendar: 'x' }],
      numbers: { called: { min_length: 7, max_length: 15 }, caller: { min_length: 3 } },
      prefixes: [{ prefix: '44', priority: 2, mode: null, calendar: 'Public holidays' }],
    },
  };
  const shown = toForm(FIELDS, before);
  expect(shown['routing.prefixes']).toBe('44 priority=2 calendar=Public holidays');
  expect(fromForm(FIELDS, shown, before)).toEqual(before);
  const after = fromForm(
    FIELDS,
    { ...shown, 'routing.calendar': undefined, 'routing.numbers.called.min_length': 9 },
    before,
  );
  expect(after).toEqual({
    ...before,
    routing: {
      ...before.routing,
      calendar: null,
      numbers: { ...before.routing.numbers, called: { min_length: 9, max_length: 15 } },
    },
  });
  expect(before.routing.numbers.called.min_length).toBe(7);
});

test.each([
  [prefixRule, '8801'],
  [prefixRule, '8801 priority=2 mode=terminate calendar=Nights'],
  [proportion, '70 881'],
  [proportion, '30'],
  [specialDay, '2026-12-24 08:00-12:00'],
  [specialDay, '12-24'],
])('a line is read as it is written: %#', (codec, line) => {
  expect(codec.write(codec.read(line) as never)).toBe(line);
});
