/** The page of one editable thing: crumbs, live figures, the form, delete. Both kinds of gateway are this. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { Button } from 'antd';
import type { ReactNode } from 'react';
import { useText } from '../i18n';
import { useMay } from '../lib/session';
import { EditorForm, type Section } from './EditorForm';
import { ErrorNote, Loading } from './Notes';
import { Page, Panel } from './Page';
import { useSaved } from './useSaved';

interface Named {
  id: string;
  name: string;
  version: string;
}

interface Store<View, Input> {
  get: (id: string) => Promise<View>;
  create: (value: Input) => Promise<View>;
  update: (id: string, value: Input, version: string) => Promise<unknown>;
  remove: (id: string) => Promise<unknown>;
}

interface ResourcePageProps<View, Input> {
  /** Query key of the list and path of both pages. */
  list: string;
  listName: string;
  newName: string;
  store: Store<View, Input>;
  start: Input;
  sections: (existing: View | null) => Section[];
  summary: (value: View) => ReactNode;
}

const REFRESH_MS = 3_000;

export function ResourcePage<View extends Named, Input extends object>(props: ResourcePageProps<View, Input>) {
  const { id = '' } = useParams({ strict: false });
  return id === 'new' ? <NewResource {...props} /> : <ExistingResource {...props} id={id} />;
}

function NewResource<View extends Named, Input extends object>(props: ResourcePageProps<View, Input>) {
  const navigate = useNavigate();
  const t = useText();
  const { saved } = useSaved(props.list);
  const save = async (value: Input) => {
    const made = await props.store.create(value);
    await saved();
    void navigate({ to: `/${props.list}/${encodeURIComponent(made.id)}`, search: {}, ignoreBlocker: true });
  };
  return (
    <Page name={props.newName} title={<Crumbs {...props} name={props.newName} />}>
      <EditorForm<Input>
        sections={props.sections(null)}
        value={props.start}
        save={save}
        saveLabel={t.common.create}
        onCancel={() => void navigate({ to: `/${props.list}`, search: {} })}
      />
    </Page>
  );
}

function Crumbs({ list, listName, name }: { list: string; listName: string; name: string }) {
  return (
    <>
      <Link to={`/${list}`} search={{}}>
        {listName}
      </Link>
      {` / ${name}`}
    </>
  );
}

function ExistingResource<View extends Named, Input extends object>(
  props: ResourcePageProps<View, Input> & { id: string },
) {
  const { id, list, store } = props;
  const t = useText();
  const navigate = useNavigate();
  const may = useMay();
  const { saved, confirmDelete } = useSaved(list);
  const item = useQuery({ queryKey: [list, 'one', id], queryFn: () => store.get(id), refetchInterval: REFRESH_MS });
  const shown = item.data;
  const save = async (value: View, version: string) => {
    await store.update(id, value as unknown as Input, version);
    await saved();
  };
  const toList = () => void navigate({ to: `/${list}`, search: {}, ignoreBlocker: true });
  return (
    <Page
      name={shown?.name ?? props.listName}
      title={<Crumbs {...props} name={shown?.name ?? '…'} />}
      right={
        shown &&
        may('routing.edit') && (
          <Button danger onClick={() => confirmDelete(shown.name, () => store.remove(id), toList)}>
            {t.common.delete}
          </Button>
        )
      }
    >
      {item.isPending && <Loading />}
      {item.error && <ErrorNote error={item.error} onRetry={() => void item.refetch()} />}
      {shown && <Panel>{props.summary(shown)}</Panel>}
      {shown && (
        <EditorForm<View>
          right="routing.edit"
          sections={props.sections(shown)}
          value={shown}
          keeps={Object.keys(props.start)}
          save={(value) => save(value, shown.version)}
          reload={() => store.get(id)}
          saveOver={async (value) => save(value, (await store.get(id)).version)}
        />
      )}
    </Page>
  );
}
