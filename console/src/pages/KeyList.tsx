import { Button, Modal, Typography } from 'antd';
import { useState } from 'react';
import { type ApiKey, keys } from '../api/resources';
import { type Messages, useText } from '../i18n';
import { NONE, time } from '../lib/format';
import { rightsInWords } from '../lib/rights';
import { useMay } from '../lib/session';
import { EditorDrawer } from '../ui/EditorDrawer';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { useSaved } from '../ui/useSaved';
import { searched } from './searched';

interface Draft {
  name: string;
  rights: string[];
  networks: string[];
  expires_at: string | null;
}

export function KeyList() {
  const t = useText();
  const u = t.users;
  const may = useMay();
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const { saved, confirmDelete } = useSaved('keys');
  const add = may('security.edit') && (
    <Button type="primary" onClick={() => setAdding(true)}>
      {u.addKey}
    </Button>
  );
  const create = async ({ rights, ...draft }: Draft) => {
    const key = await keys.create({ ...draft, rights: rights.length > 0 ? rights : null });
    setAdding(false);
    setMade(key.token);
    await saved();
  };
  return (
    <>
      <ListView<ApiKey>
        label={u.tabs.keys}
        queryKey={['keys']}
        fetch={async ({ q }) => searched(await keys.list(), q, (k) => [k.name, k.user, ...k.networks])}
        columns={columnsOf(t)}
        rowKey={(k) => k.id}
        hint={u.keyHint}
        right={add}
        onOpen={(k) =>
          may('security.edit') &&
          confirmDelete(
            k.name,
            () => keys.remove(k.id),
            () => {},
          )
        }
        empty={{ text: u.keysEmpty, action: add }}
      />
      {adding && (
        <EditorDrawer<Draft>
          title={u.addKey}
          sections={[
            {
              fields: [
                { name: 'name', label: t.common.name, kind: 'text', needed: true },
                { name: 'rights', label: u.rights, kind: 'texts', help: u.keyRightsHelp },
                { name: 'networks', label: u.networks, kind: 'texts', help: u.networksHelp },
                { name: 'expires_at', label: u.expires, kind: 'text', nullable: true, help: u.expiresHelp },
              ],
            },
          ]}
          value={{ name: '', rights: [], networks: [], expires_at: null }}
          saveLabel={t.common.create}
          save={create}
          onClose={() => setAdding(false)}
        />
      )}
      <Modal
        open={made !== null}
        title={u.keyMade}
        onOk={() => setMade(null)}
        onCancel={() => setMade(null)}
        cancelButtonProps={{ hidden: true }}
      >
        <p>{u.keyOnce}</p>
        <Typography.Paragraph copyable code>
          {made ?? ''}
        </Typography.Paragraph>
      </Modal>
    </>
  );
}

function columnsOf(t: Messages): Column<ApiKey>[] {
  const u = t.users;
  return [
    { key: 'name', title: t.common.name, width: 160, grow: true, cell: (k) => k.name },
    { key: 'user', title: t.signIn.user, width: 130, cell: (k) => k.user },
    {
      key: 'rights',
      title: u.rights,
      width: 240,
      grow: true,
      cell: (k) => (k.rights ? rightsInWords(t, k.rights) : t.common.all),
    },
    { key: 'networks', title: u.networks, width: 180, cell: (k) => k.networks.join(', ') || t.common.all },
    { key: 'created', title: u.created, width: 170, cell: (k) => time(k.created_at) },
    { key: 'expires', title: u.expires, width: 170, cell: (k) => (k.expires_at ? time(k.expires_at) : NONE) },
  ];
}
