import { useQuery } from '@tanstack/react-query';
import { App } from 'antd';
import { Problem } from '../api/client';
import { access } from '../api/resources';
import { useText } from '../i18n';
import { EditorForm } from '../ui/EditorForm';
import { ErrorNote, Loading } from '../ui/Notes';
import { useSaved } from '../ui/useSaved';

/** From where console and API may be reached. The switch refuses a list that locks its author out until it is confirmed. */
export function AccessPanel() {
  const t = useText();
  const { modal } = App.useApp();
  const { saved } = useSaved('access');
  const list = useQuery({ queryKey: ['access'], queryFn: access.get });
  if (list.isPending) return <Loading />;
  if (list.error) return <ErrorNote error={list.error} onRetry={() => void list.refetch()} />;
  const save = async ({ networks }: { networks: string[] }) => {
    try {
      await access.save(networks, false);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 409) throw error;
      const sure = await modal.confirm({
        title: t.users.lockOut,
        content: error.message,
        okText: t.users.lockOutAnyway,
        okButtonProps: { danger: true },
        autoFocusButton: 'cancel',
      });
      if (!sure) throw error;
      await access.save(networks, true);
    }
    await saved();
  };
  return (
    <EditorForm<{ networks: string[]; version: string }>
      sections={[
        {
          title: t.users.tabs.access,
          fields: [{ name: 'networks', label: t.users.networks, kind: 'texts', help: t.users.accessHelp }],
        },
      ]}
      value={{ networks: list.data.networks, version: list.data.networks.join() }}
      save={save}
      extra={<p className="muted">{t.users.yourAddress(list.data.your_address)}</p>}
    />
  );
}
