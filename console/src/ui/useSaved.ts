/** What happens after a save, the same on all pages: say so, and read the changed lists anew. */
import { useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useText } from '../i18n';
import { sentenceOf } from './Notes';

export function useSaved(...keys: string[]) {
  const t = useText();
  const queries = useQueryClient();
  const { message, modal } = App.useApp();
  const refresh = () => Promise.all(keys.map((key) => queries.invalidateQueries({ queryKey: [key] })));
  return {
    refresh,
    saved: async (words = t.common.saved) => {
      void message.success(words);
      await refresh();
    },
    /** Asks first, names the thing, and then deletes it. */
    confirmDelete: (name: string, remove: () => Promise<unknown>, after: () => void) =>
      modal.confirm({
        title: t.common.confirmDelete(name),
        content: t.common.deleteEffect,
        okText: t.common.delete,
        okButtonProps: { danger: true },
        autoFocusButton: 'cancel',
        onOk: async () => {
          try {
            await remove();
          } catch (error) {
            void message.error(sentenceOf(error, t));
            return;
          }
          void message.success(t.common.deleted);
          after();
          await refresh();
        },
      }),
  };
}
