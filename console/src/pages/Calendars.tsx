/** Calendars: when a gateway, a prefix or a rule is used. */
import { useMemo } from 'react';
import { type Calendar, type CalendarInput, calendars } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { NONE } from '../lib/format';
import { DrawerList } from '../ui/DrawerList';
import type { Section } from '../ui/EditorForm';
import type { Codec } from '../ui/fields';
import type { Column } from '../ui/Grid';
import { StateMark } from '../ui/State';

export const NEW_CALENDAR: CalendarInput = {
  name: '',
  time_zone: 'UTC',
  hours: '',
  holidays: [],
  special_days: [],
  notes: '',
};

/** `2026-12-24 08:00-12:00`; without hours it is the whole day. */
export const specialDay: Codec = {
  read: (line) => {
    const [day = '', ...hours] = line.split(/\s+/);
    return { day, hours: hours.join(' ') };
  },
  write: ({ day, hours }: { day: string; hours?: string }) => `${day} ${hours ?? ''}`.trim(),
};

export function Calendars() {
  const t = useText();
  const columns = useMemo(() => columnsOf(t), [t]);
  return (
    <DrawerList<Calendar, CalendarInput>
      title={t.nav.calendars}
      list="calendars"
      addName={t.calendars.add}
      empty={t.calendars.empty}
      columns={columns}
      store={calendars}
      start={NEW_CALENDAR}
      sections={sectionsOf(t)}
    />
  );
}

function sectionsOf(t: Messages): Section[] {
  const c = t.calendars;
  return [
    {
      fields: [
        { name: 'name', label: t.common.name, kind: 'text', needed: true },
        { name: 'time_zone', label: t.accountFields.timeZone, kind: 'text', needed: true },
        { name: 'hours', label: c.hours, kind: 'text', mono: true, help: c.hoursHelp },
        { name: 'holidays', label: c.holidays, kind: 'lines', help: c.holidaysHelp },
        { name: 'special_days', label: c.special, kind: 'lines', help: c.specialHelp, codec: specialDay },
        { name: 'notes', label: t.common.notes, kind: 'longText' },
      ],
    },
  ];
}

const columnsOf = (t: Messages): Column<Calendar>[] => [
  { key: 'name', title: t.common.name, width: 160, grow: true, sort: 'name', cell: (c) => c.name },
  {
    key: 'state',
    title: t.common.state,
    width: 120,
    cell: (c) => (
      <StateMark tone={c.open ? 'ok' : 'muted'} full={c.open}>
        {c.open ? t.calendars.open : t.calendars.closed}
      </StateMark>
    ),
  },
  { key: 'hours', title: t.calendars.hours, width: 260, grow: true, cell: (c) => c.hours || t.calendars.always },
  { key: 'zone', title: t.accountFields.timeZone, width: 150, cell: (c) => c.time_zone ?? NONE },
];
