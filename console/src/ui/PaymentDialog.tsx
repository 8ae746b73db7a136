/** A payment shows the balance before and after, and its key makes a second click or a lost answer harmless. */
import { useMutation } from '@tanstack/react-query';
import { App, Form, Input, Modal, Select } from 'antd';
import { useState } from 'react';
import { type Account, accounts, type PaymentInput } from '../api/resources';
import { useText } from '../i18n';
import { balanceAfter } from '../lib/balance';
import { amount, isNegative } from '../lib/format';
import { choices } from './fields';
import { ErrorNote } from './Notes';
import { useSaved } from './useSaved';

/** Also without a secure context, where `randomUUID` is missing: consoles are often opened by plain http in a LAN. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}

export function PaymentDialog({ account, onClose }: { account: Account; onClose: () => void }) {
  const t = useText();
  const { message } = App.useApp();
  const [form] = Form.useForm<PaymentInput>();
  const [key] = useState(newKey);
  // The balance of the moment when the dialog opened would be old; the account is read every few seconds.
  const now = Form.useWatch([], form) ?? { amount: '', kind: 'payment' };
  const after = balanceAfter(account.balance, now.kind ?? 'payment', now.amount ?? '');
  const { refresh } = useSaved('accounts', 'account');
  const pay = useMutation({
    mutationFn: (input: PaymentInput) => accounts.pay(account.id, { ...input, note: input.note ?? '' }, key),
    onSuccess: async (result) => {
      void message.success(t.payment.booked(amount(result.balance, account.currency)));
      onClose();
      await refresh();
    },
  });
  const valid = (_: unknown, text: string) =>
    balanceAfter('0', 'payment', text ?? '') && (form.getFieldValue('kind') === 'correction' || !isNegative(text))
      ? Promise.resolve()
      : Promise.reject(new Error(t.payment.wrongAmount));
  const recheck = () => {
    if (form.getFieldError('amount').length > 0) void form.validateFields(['amount']).catch(() => {});
  };
  return (
    <Modal
      open
      title={t.payment.title(account.name)}
      okText={t.payment.button}
      okButtonProps={{ loading: pay.isPending }}
      onOk={() => form.submit()}
      onCancel={onClose}
    >
      <Form
        form={form}
        layout="vertical"
        initialValues={{ kind: 'payment' }}
        onFinish={(input) => pay.mutate(input)}
        onValuesChange={recheck}
      >
        <Form.Item
          name="amount"
          label={`${t.payment.amount} (${account.currency})`}
          required
          rules={[{ validator: valid }]}
          validateTrigger={[]}
          extra={t.payment.amountHelp}
        >
          <Input inputMode="decimal" autoFocus autoComplete="off" />
        </Form.Item>
        <Form.Item name="kind" label={t.payment.kind}>
          <Select options={choices(t.payment.kinds)} />
        </Form.Item>
        <Form.Item name="note" label={t.payment.note}>
          <Input maxLength={200} />
        </Form.Item>
      </Form>
      <div className="before-after">
        <span className="muted">{t.payment.before}</span>
        <strong>{amount(account.balance, account.currency)}</strong>
        <span aria-hidden="true">→</span>
        <span className="muted">{t.payment.after}</span>
        <strong data-after="" className={isNegative(after) ? 'negative' : undefined}>
          {after === null ? '–' : amount(after, account.currency)}
        </strong>
      </div>
      {pay.error && <ErrorNote error={pay.error} />}
    </Modal>
  );
}
