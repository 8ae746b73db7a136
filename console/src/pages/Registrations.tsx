/** Who is registered now: phones, and gateways that register with us. */
import { App, Button, Drawer } from 'antd';
import { useMemo, useState } from 'react';
import { type Registration, registrations } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { count, NONE, time } from '../lib/format';
import { useMay } from '../lib/session';
import { ContactTable } from '../ui/ContactTable';
import { choices } from '../ui/fields';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { sentenceOf } from '../ui/Notes';
import { Page } from '../ui/Page';
import { useSaved } from '../ui/useSaved';

const REFRESH_MS = 3_000;

const kindsOf = (t: Messages) => ({
  phone: t.nav.phones,
  mapping_gateway: t.nav.mappingGateways,
  routing_gateway: t.nav.routingGateways,
});

export function Registrations() {
  const t = useText();
  const [open, setOpen] = useState<Registration | null>(null);
  const columns = useMemo(() => columnsOf(t), [t]);
  return (
    <Page title={t.nav.registrations} fixed>
      <ListView<Registration>
        label={t.nav.registrations}
        queryKey={['registrations']}
        fetch={registrations.list}
        columns={columns}
        rowKey={(r) => r.id}
        hint={t.registrations.hint}
        filters={[{ name: 'kind', label: t.registrations.kind, pinned: true, options: choices(kindsOf(t)) }]}
        refreshMs={REFRESH_MS}
        onOpen={setOpen}
        empty={{ text: t.registrations.empty }}
      />
      {open && <Details registration={open} onClose={() => setOpen(null)} />}
    </Page>
  );
}

function Details({ registration, onClose }: { registration: Registration; onClose: () => void }) {
  const t = useText();
  const may = useMay();
  const { message, modal } = App.useApp();
  const { saved } = useSaved('registrations', 'phones');
  const end = () =>
    modal.confirm({
      title: t.registrations.endTitle(registration.name),
      content: t.registrations.endHelp,
      okText: t.registrations.end,
      okButtonProps: { danger: true },
      autoFocusButton: 'cancel',
      onOk: async () => {
        try {
          await registrations.remove(registration.id);
        } catch (error) {
          void message.error(sentenceOf(error, t));
          return;
        }
        onClose();
        await saved(t.common.deleted);
      },
    });
  return (
    <Drawer
      open
      title={registration.name}
      onClose={onClose}
      size={960}
      extra={
        may('routing.edit') && (
          <Button danger onClick={end}>
            {t.registrations.end}
          </Button>
        )
      }
    >
      <ContactTable contacts={registration.contacts} />
    </Drawer>
  );
}

function columnsOf(t: Messages): Column<Registration>[] {
  const r = t.registrations;
  return [
    { key: 'name', title: t.common.name, width: 150, grow: true, cell: (x) => x.name },
    { key: 'kind', title: r.kind, width: 160, cell: (x) => wordFor(kindsOf(t), x.kind) },
    { key: 'contacts', title: r.contacts, width: 150, right: true, cell: (x) => count(x.contacts.length) },
    {
      key: 'source',
      title: r.source,
      width: 180,
      cell: (x) => <span className="mono">{x.contacts[0]?.source ?? NONE}</span>,
    },
    { key: 'device', title: r.device, width: 180, grow: true, cell: (x) => x.contacts[0]?.user_agent ?? NONE },
    { key: 'until', title: r.until, width: 170, cell: (x) => time(x.contacts[0]?.expires_at) },
    { key: 'calls', title: t.common.openCalls, width: 150, right: true, cell: (x) => count(x.calls) },
  ];
}
