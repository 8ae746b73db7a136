/** The rates of one group: search by prefix, add, edit, delete. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { Button } from 'antd';
import { useCallback, useMemo, useState } from 'react';
import { type Query, type Rate, type RateGroup, rateGroups } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { NONE, price } from '../lib/format';
import { useMay } from '../lib/session';
import { EditorDrawer } from '../ui/EditorDrawer';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { ErrorNote } from '../ui/Notes';
import { Page } from '../ui/Page';
import { StateMark } from '../ui/State';
import { useSaved } from '../ui/useSaved';
import { groupSections, NEW_GROUP } from './RateGroups';
import { NEW_RATE, rateSections } from './rateFields';

type Editing = { what: 'rate'; rate: Rate; isNew: boolean } | { what: 'group' } | null;

export function Rates() {
  const t = useText();
  const { id = '' } = useParams({ strict: false });
  const [editing, setEditing] = useState<Editing>(null);
  const group = useQuery({ queryKey: ['rate-groups', 'one', id], queryFn: () => rateGroups.get(id) });
  const columns = useMemo(() => columnsOf(t), [t]);
  // The search of this list is by prefix, which the API names so.
  const fetch = useCallback(({ q, ...query }: Query) => rateGroups.rates(id, { ...query, prefix: q }), [id]);
  const close = () => setEditing(null);
  const may = useMay();
  const add = may('rates.edit') && (
    <Button type="primary" onClick={() => setEditing({ what: 'rate', rate: NEW_RATE, isNew: true })}>
      {t.rates.add}
    </Button>
  );
  return (
    <Page
      name={group.data?.name ?? t.nav.rates}
      title={
        <>
          <Link to="/rates" search={{}}>
            {t.rates.groupsTitle}
          </Link>
          {` / ${group.data?.name ?? '…'} `}
          <span className="muted">{group.data?.currency}</span>
        </>
      }
      right={
        <>
          <Link to="/rates/$id/imports" params={{ id }} search={{}}>
            {t.imports.title}
          </Link>
          {may('rates.edit') && <Button onClick={() => setEditing({ what: 'group' })}>{t.rates.editGroup}</Button>}
          {add}
        </>
      }
      fixed
    >
      {group.error ? (
        <ErrorNote error={group.error} onRetry={() => void group.refetch()} />
      ) : (
        <ListView<Rate>
          label={t.nav.rates}
          queryKey={['rates', id]}
          fetch={fetch}
          columns={columns}
          rowKey={(r) => `${r.prefix} ${r.valid_from ?? ''} ${r.hours ?? ''}`}
          hint={t.rates.prefixHint}
          onOpen={(rate) => setEditing({ what: 'rate', rate, isNew: false })}
          empty={{ text: t.rates.empty, action: add }}
        />
      )}
      {editing?.what === 'rate' && <RateDrawer groupId={id} {...editing} onClose={close} />}
      {editing?.what === 'group' && group.data && <GroupDrawer group={group.data} onClose={close} />}
    </Page>
  );
}

function RateDrawer({
  groupId,
  rate,
  isNew,
  onClose,
}: {
  groupId: string;
  rate: Rate;
  isNew: boolean;
  onClose: () => void;
}) {
  const t = useText();
  const { saved, confirmDelete } = useSaved('rates', 'rate-groups');
  return (
    <EditorDrawer<Rate>
      right="rates.edit"
      title={isNew ? t.rates.add : t.rates.editTitle(rate.prefix)}
      sections={rateSections(t, isNew)}
      value={rate}
      keeps={Object.keys(NEW_RATE)}
      saveLabel={isNew ? t.common.create : undefined}
      save={async (value) => {
        await rateGroups.saveRate(groupId, value);
        onClose();
        await saved();
      }}
      onClose={onClose}
      extra={
        !isNew && (
          <Button
            danger
            onClick={() => confirmDelete(rate.prefix, () => rateGroups.removeRate(groupId, rate), onClose)}
          >
            {t.common.delete}
          </Button>
        )
      }
    />
  );
}

function GroupDrawer({ group, onClose }: { group: RateGroup; onClose: () => void }) {
  const t = useText();
  const navigate = useNavigate();
  const { saved, confirmDelete } = useSaved('rate-groups');
  const save = async (value: RateGroup, version: string) => {
    await rateGroups.update(group.id, value, version);
    onClose();
    await saved();
  };
  return (
    <EditorDrawer<RateGroup>
      right="rates.edit"
      title={t.rates.editGroup}
      sections={groupSections(t, false)}
      value={group}
      keeps={Object.keys(NEW_GROUP)}
      save={(value) => save(value, group.version)}
      reload={() => rateGroups.get(group.id)}
      saveOver={async (value) => save(value, (await rateGroups.get(group.id)).version)}
      onClose={onClose}
      extra={
        <Button
          danger
          onClick={() =>
            confirmDelete(
              group.name,
              () => rateGroups.remove(group.id),
              () => void navigate({ to: '/rates', search: {} }),
            )
          }
        >
          {t.common.delete}
        </Button>
      }
    />
  );
}

function columnsOf(t: Messages): Column<Rate>[] {
  const feeOf = (text: string | null | undefined) => (text == null || /^0(\.0*)?$/.test(text) ? NONE : price(text));
  return [
    { key: 'prefix', title: t.rates.prefix, width: 120, cell: (r) => <span className="mono">{r.prefix}</span> },
    { key: 'area', title: t.rates.area, width: 200, grow: true, cell: (r) => r.area || NONE },
    { key: 'price', title: t.rates.price, width: 110, right: true, cell: (r) => price(r.price_per_minute) },
    {
      key: 'increments',
      title: t.rates.increments,
      width: 160,
      right: true,
      cell: (r) => `${r.first_period} / ${r.cycle}`,
    },
    { key: 'fee', title: t.rates.connectionFee, width: 140, right: true, cell: (r) => feeOf(r.connection_fee) },
    { key: 'minimum', title: t.rates.minimumCharge, width: 140, right: true, cell: (r) => feeOf(r.minimum_charge) },
    { key: 'free', title: t.rates.freeSeconds, width: 120, right: true, cell: (r) => r.free_seconds || NONE },
    {
      key: 'locked',
      title: t.common.state,
      width: 110,
      cell: (r) =>
        r.locked ? (
          <StateMark tone="crit">{t.rates.locked}</StateMark>
        ) : (
          <StateMark tone="ok">{t.rates.open}</StateMark>
        ),
    },
  ];
}
