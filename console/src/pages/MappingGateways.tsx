/** Where the calls of customers come in. */
import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { useMemo } from 'react';
import { type MappingGateway, mappingGateways } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { useMay } from '../lib/session';
import { ListView } from '../ui/ListView';
import { Page } from '../ui/Page';
import { gatewayColumns } from './gatewayColumns';

const REFRESH_MS = 3_000;

export function MappingGateways() {
  const t = useText();
  const navigate = useNavigate();
  const columns = useMemo(() => columnsOf(t), [t]);
  const open = (id: string) => void navigate({ to: '/mapping-gateways/$id', params: { id }, search: {} });
  const may = useMay();
  const add = may('routing.edit') && (
    <Button type="primary" onClick={() => open('new')}>
      {t.gateways.addMapping}
    </Button>
  );
  return (
    <Page title={t.nav.mappingGateways} right={add} fixed>
      <ListView<MappingGateway>
        label={t.nav.mappingGateways}
        queryKey={['mapping-gateways']}
        fetch={mappingGateways.list}
        columns={columns}
        rowKey={(g) => g.id}
        hint={t.gateways.filterHint}
        defaultSort="name"
        refreshMs={REFRESH_MS}
        onOpen={(g) => open(g.id)}
        empty={{ text: t.gateways.emptyMapping, action: add }}
      />
    </Page>
  );
}

const columnsOf = (t: Messages) =>
  gatewayColumns<MappingGateway>(t, [
    {
      key: 'sign-in',
      title: t.gateways.authentication,
      width: 170,
      cell: (g) => wordFor(t.gateways.authentications, g.authentication),
    },
    {
      key: 'addresses',
      title: t.gateways.addresses,
      width: 190,
      grow: true,
      cell: (g) => <span className="mono">{g.addresses.join(', ') || g.username || ''}</span>,
    },
  ]);
