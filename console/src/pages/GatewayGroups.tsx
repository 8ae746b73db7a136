/** Groups of routing gateways that share limits. */
import { useMemo } from 'react';
import { type GatewayGroup, type GatewayGroupInput, gatewayGroups } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { count, NONE } from '../lib/format';
import { DrawerList } from '../ui/DrawerList';
import type { Section } from '../ui/EditorForm';
import type { Column } from '../ui/Grid';

export const NEW_GATEWAY_GROUP: GatewayGroupInput = { name: '', max_concurrency: null, max_cps: null, notes: '' };

export function GatewayGroups() {
  const t = useText();
  const columns = useMemo(() => columnsOf(t), [t]);
  return (
    <DrawerList<GatewayGroup, GatewayGroupInput>
      title={t.nav.gatewayGroups}
      list="gateway-groups"
      addName={t.groups.add}
      empty={t.groups.empty}
      columns={columns}
      store={gatewayGroups}
      start={NEW_GATEWAY_GROUP}
      sections={sectionsOf(t)}
    />
  );
}

const sectionsOf = (t: Messages): Section[] => [
  {
    fields: [
      { name: 'name', label: t.common.name, kind: 'text', needed: true },
      { name: 'max_concurrency', label: t.gateways.maxConcurrency, kind: 'whole', nullable: true },
      { name: 'max_cps', label: t.gateways.maxCps, kind: 'whole', nullable: true },
      { name: 'notes', label: t.common.notes, kind: 'longText' },
    ],
  },
];

const columnsOf = (t: Messages): Column<GatewayGroup>[] => [
  { key: 'name', title: t.common.name, width: 180, grow: true, sort: 'name', cell: (g) => g.name },
  {
    key: 'calls',
    title: t.gateways.calls,
    width: 124,
    right: true,
    cell: (g) => `${count(g.calls)} / ${g.max_concurrency ?? '∞'}`,
  },
  { key: 'cps', title: t.gateways.cps, width: 110, right: true, cell: (g) => `${count(g.cps)} / ${g.max_cps ?? '∞'}` },
  { key: 'notes', title: t.common.notes, width: 240, grow: true, cell: (g) => g.notes || NONE },
];
