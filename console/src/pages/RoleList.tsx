import { useQuery } from '@tanstack/react-query';
import { Button, Checkbox, Drawer, Form, Input } from 'antd';
import { useState } from 'react';
import { type Role, roles } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { NONE } from '../lib/format';
import { rightsInWords } from '../lib/rights';
import { useMay } from '../lib/session';
import type { Column } from '../ui/Grid';
import { ListView } from '../ui/ListView';
import { ErrorNote } from '../ui/Notes';
import { Scroll } from '../ui/Page';
import { useSaved } from '../ui/useSaved';
import { searched } from './searched';

export function RoleList() {
  const t = useText();
  const may = useMay();
  const [editing, setEditing] = useState<Role | null>(null);
  const add = may('security.edit') && (
    <Button type="primary" onClick={() => setEditing({ name: '', rights: [], note: '', built_in: false })}>
      {t.users.addRole}
    </Button>
  );
  return (
    <>
      <ListView<Role>
        label={t.users.tabs.roles}
        queryKey={['roles', 'list']}
        fetch={async ({ q }) => searched((await roles.list()).items, q, (r) => [r.name, r.note, ...r.rights])}
        columns={columnsOf(t)}
        rowKey={(r) => r.name}
        hint={t.users.roleHint}
        right={add}
        onOpen={setEditing}
        empty={{ text: t.users.empty }}
      />
      {editing && <RoleDrawer role={editing} onClose={() => setEditing(null)} />}
    </>
  );
}

function RoleDrawer({ role, onClose }: { role: Role; onClose: () => void }) {
  const t = useText();
  const isNew = role.name === '';
  const known = useQuery({ queryKey: ['roles'], queryFn: roles.list });
  const [rights, setRights] = useState(role.rights);
  const [failure, setFailure] = useState<unknown>(null);
  const { saved, confirmDelete } = useSaved('roles');
  const save = async ({ name, note }: { name: string; note?: string }) => {
    try {
      await roles.save(name.trim(), { rights, note: note ?? '' });
    } catch (error) {
      setFailure(error);
      return;
    }
    await saved();
    onClose();
  };
  return (
    <Drawer open title={role.name || t.users.addRole} onClose={onClose} size={560}>
      <Form layout="vertical" initialValues={role} onFinish={(form) => void save(form)} disabled={role.built_in}>
        <Form.Item
          name="name"
          label={t.common.name}
          rules={[{ required: true, whitespace: true, message: t.common.requiredField }]}
        >
          <Input disabled={!isNew} />
        </Form.Item>
        <RightsTable t={t} all={known.data?.rights ?? []} rights={rights} onChange={setRights} fixed={role.built_in} />
        <Form.Item name="note" label={t.common.notes}>
          <Input.TextArea rows={2} />
        </Form.Item>
        {failure !== null && <ErrorNote error={failure} />}
        {role.built_in ? (
          <p className="muted">{t.users.builtInHelp}</p>
        ) : (
          <div className="editor-foot">
            <Button type="primary" htmlType="submit">
              {isNew ? t.common.create : t.common.save}
            </Button>
            {!isNew && (
              <Button danger onClick={() => confirmDelete(role.name, () => roles.remove(role.name), onClose)}>
                {t.common.delete}
              </Button>
            )}
          </div>
        )}
      </Form>
    </Drawer>
  );
}

interface RightsTableProps {
  t: Messages;
  all: string[];
  rights: string[];
  onChange: (rights: string[]) => void;
  fixed: boolean;
}

/** Areas down, actions across. */
function RightsTable({ t, all, rights, onChange, fixed }: RightsTableProps) {
  const areas = [...new Set(all.map((r) => r.split('.')[0] ?? ''))];
  const actions = [...new Set(all.map((r) => r.split('.')[1] ?? ''))];
  const toggle = (right: string, on: boolean) => onChange(on ? [...rights, right] : rights.filter((r) => r !== right));
  return (
    <Scroll label={t.users.rights}>
      <table className="table">
        <thead>
          <tr>
            <th>{t.users.area}</th>
            {actions.map((action) => (
              <th key={action}>{wordFor(t.users.actions, action)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {areas.map((area) => (
            <tr key={area}>
              <th scope="row">{wordFor(t.users.areas, area)}</th>
              {actions.map((action) => {
                const right = `${area}.${action}`;
                return (
                  <td key={action}>
                    <Checkbox
                      aria-label={`${wordFor(t.users.areas, area)}: ${wordFor(t.users.actions, action)}`}
                      disabled={fixed}
                      checked={rights.includes(right)}
                      onChange={(e) => toggle(right, e.target.checked)}
                    />
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function columnsOf(t: Messages): Column<Role>[] {
  return [
    { key: 'name', title: t.common.name, width: 160, cell: (r) => r.name },
    { key: 'built', title: t.users.builtIn, width: 120, cell: (r) => (r.built_in ? t.common.yes : t.common.no) },
    { key: 'rights', title: t.users.rights, width: 320, grow: true, cell: (r) => rightsInWords(t, r.rights) || NONE },
    { key: 'note', title: t.common.notes, width: 200, grow: true, cell: (r) => r.note || NONE },
  ];
}
