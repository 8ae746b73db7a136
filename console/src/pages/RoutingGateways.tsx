/** Where calls go out to vendors. */
import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { useMemo } from 'react';
import { type RoutingGateway, routingGateways } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { useMay } from '../lib/session';
import { ListView } from '../ui/ListView';
import { Page } from '../ui/Page';
import { gatewayColumns } from './gatewayColumns';

const REFRESH_MS = 3_000;

export function RoutingGateways() {
  const t = useText();
  const navigate = useNavigate();
  const columns = useMemo(() => columnsOf(t), [t]);
  const open = (id: string) => void navigate({ to: '/routing-gateways/$id', params: { id }, search: {} });
  const may = useMay();
  const add = may('routing.edit') && (
    <Button type="primary" onClick={() => open('new')}>
      {t.gateways.addRouting}
    </Button>
  );
  return (
    <Page title={t.nav.routingGateways} right={add} fixed>
      <ListView<RoutingGateway>
        label={t.nav.routingGateways}
        queryKey={['routing-gateways']}
        fetch={routingGateways.list}
        columns={columns}
        rowKey={(g) => g.id}
        hint={t.gateways.filterHint}
        defaultSort="name"
        refreshMs={REFRESH_MS}
        onOpen={(g) => open(g.id)}
        empty={{ text: t.gateways.emptyRouting, action: add }}
      />
    </Page>
  );
}

const columnsOf = (t: Messages) =>
  gatewayColumns<RoutingGateway>(t, [
    { key: 'address', title: t.gateways.address, width: 170, cell: (g) => <span className="mono">{g.address}</span> },
    { key: 'transport', title: t.gateways.transport, width: 96, cell: (g) => g.transport.toUpperCase() },
    {
      key: 'prefixes',
      title: t.gateways.prefixes,
      width: 150,
      grow: true,
      cell: (g) => <span className="mono">{g.prefixes.join(', ')}</span>,
    },
    { key: 'priority', title: t.gateways.priority, width: 88, sort: 'priority', right: true, cell: (g) => g.priority },
  ]);
