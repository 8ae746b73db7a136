/** A list whose things are edited in a drawer beside it: small documents that belong to routing. */
import { Button } from 'antd';
import { type ReactNode, useState } from 'react';
import type { Query, Page as Rows } from '../api/resources';
import { useText } from '../i18n';
import { useMay } from '../lib/session';
import { EditorDrawer } from './EditorDrawer';
import type { Section } from './EditorForm';
import type { Column } from './Grid';
import { ListView } from './ListView';
import { Page } from './Page';
import { useSaved } from './useSaved';

interface Named {
  id: string;
  name: string;
  version: string;
}

interface DrawerListProps<View, Input> {
  title: string;
  /** Query key of the list. */
  list: string;
  addName: string;
  empty: string;
  columns: Column<View>[];
  store: {
    list: (query: Query) => Promise<Rows<View>>;
    get: (id: string) => Promise<View>;
    create: (value: Input) => Promise<View>;
    update: (id: string, value: Input, version: string) => Promise<unknown>;
    remove: (id: string) => Promise<unknown>;
  };
  start: Input;
  sections: Section[];
  /** What stands above the form of an existing one. */
  head?: (value: View) => ReactNode;
}

const REFRESH_MS = 5_000;

export function DrawerList<View extends Named, Input extends object>(props: DrawerListProps<View, Input>) {
  const t = useText();
  const may = useMay();
  const [open, setOpen] = useState<View | 'new' | null>(null);
  const { saved } = useSaved(props.list);
  const close = () => setOpen(null);
  const add = may('routing.edit') && (
    <Button type="primary" onClick={() => setOpen('new')}>
      {props.addName}
    </Button>
  );
  return (
    <Page title={props.title} right={add} fixed>
      <ListView<View>
        label={props.title}
        queryKey={[props.list]}
        fetch={props.store.list}
        columns={props.columns}
        rowKey={(x) => x.id}
        hint={t.common.name}
        defaultSort="name"
        refreshMs={REFRESH_MS}
        onOpen={setOpen}
        empty={{ text: props.empty, action: add }}
      />
      {open === 'new' && (
        <EditorDrawer<Input>
          title={props.addName}
          sections={props.sections}
          value={props.start}
          saveLabel={t.common.create}
          save={async (value) => {
            await props.store.create(value as Input);
            close();
            await saved();
          }}
          onClose={close}
        />
      )}
      {open !== null && open !== 'new' && <Existing {...props} value={open} onClose={close} />}
    </Page>
  );
}

function Existing<View extends Named, Input extends object>({
  value,
  onClose,
  ...props
}: DrawerListProps<View, Input> & { value: View; onClose: () => void }) {
  const t = useText();
  const { store } = props;
  const { saved, confirmDelete } = useSaved(props.list);
  const save = async (next: View, version: string) => {
    await store.update(value.id, next as unknown as Input, version);
    onClose();
    await saved();
  };
  return (
    <EditorDrawer<View>
      right="routing.edit"
      title={value.name}
      head={props.head?.(value)}
      sections={props.sections}
      value={value}
      keeps={Object.keys(props.start)}
      save={(next) => save(next as View, value.version)}
      reload={() => store.get(value.id)}
      saveOver={async (next) => save(next as View, (await store.get(value.id)).version)}
      onClose={onClose}
      extra={
        <Button danger onClick={() => confirmDelete(value.name, () => store.remove(value.id), onClose)}>
          {t.common.delete}
        </Button>
      }
    />
  );
}
