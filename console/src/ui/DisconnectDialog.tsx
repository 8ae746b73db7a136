/** Cutting a call names the call, says what happens and needs a reason. */
import { useMutation } from '@tanstack/react-query';
import { App, Form, Input, Modal, Select } from 'antd';
import { type Call, calls } from '../api/resources';
import { useText } from '../i18n';
import { ErrorNote } from './Notes';

export function DisconnectDialog({ call, onClose }: { call: Call; onClose: () => void }) {
  const t = useText();
  const { message } = App.useApp();
  const [form] = Form.useForm<{ reason: string; words?: string }>();
  const disconnect = useMutation({
    mutationFn: (reason: string) => calls.disconnect(call.id, reason),
    onSuccess: () => {
      void message.success(t.calls.disconnected);
      onClose();
    },
  });
  const send = ({ reason, words }: { reason: string; words?: string }) =>
    disconnect.mutate(words?.trim() ? `${reason}: ${words.trim()}` : reason);
  return (
    <Modal
      open
      title={t.calls.disconnectTitle(call.caller, call.callee)}
      okText={t.calls.disconnect}
      okButtonProps={{ danger: true, loading: disconnect.isPending }}
      onOk={() => form.submit()}
      onCancel={onClose}
    >
      <p>{t.calls.disconnectEffect}</p>
      <Form form={form} layout="vertical" onFinish={send}>
        <Form.Item name="reason" label={t.calls.reason} rules={[{ required: true, message: t.common.requiredField }]}>
          <Select autoFocus options={t.calls.reasons.map((reason) => ({ value: reason, label: reason }))} />
        </Form.Item>
        <Form.Item name="words" label={t.calls.reasonText}>
          <Input maxLength={200} />
        </Form.Item>
      </Form>
      {disconnect.error && <ErrorNote error={disconnect.error} />}
    </Modal>
  );
}
