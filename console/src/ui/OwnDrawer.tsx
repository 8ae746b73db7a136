/** What everybody may change of their own: the password and the second factor. */
import { useMutation } from '@tanstack/react-query';
import { App, Button, Drawer, Form, Input } from 'antd';
import { session } from '../api/resources';
import { useText } from '../i18n';
import { ErrorNote } from './Notes';
import { Panel } from './Page';

export function OwnDrawer({ onClose }: { onClose: () => void }) {
  const t = useText();
  return (
    <Drawer open title={t.own.title} onClose={onClose} size={480}>
      <Password onDone={onClose} />
      <SecondFactor onDone={onClose} />
    </Drawer>
  );
}

function Password({ onDone }: { onDone: () => void }) {
  const t = useText();
  const { message } = App.useApp();
  const change = useMutation({
    mutationFn: (form: { old: string; new: string }) => session.changePassword(form.old, form.new),
    onSuccess: () => {
      void message.success(t.own.passwordChanged);
      onDone();
    },
  });
  const rules = [{ required: true, message: t.common.requiredField }];
  return (
    <Panel title={t.own.password}>
      <Form layout="vertical" requiredMark={false} onFinish={(form) => change.mutate(form)}>
        <Form.Item name="old" label={t.own.oldPassword} rules={rules}>
          <Input.Password autoComplete="current-password" />
        </Form.Item>
        <Form.Item name="new" label={t.own.newPassword} rules={rules} extra={t.users.passwordHelp}>
          <Input.Password autoComplete="new-password" />
        </Form.Item>
        {change.error && <ErrorNote error={change.error} />}
        <Button htmlType="submit" loading={change.isPending}>
          {t.own.changePassword}
        </Button>
      </Form>
    </Panel>
  );
}

function SecondFactor({ onDone }: { onDone: () => void }) {
  const t = useText();
  const { message } = App.useApp();
  const propose = useMutation({ mutationFn: session.proposeSecondFactor });
  const take = useMutation({
    mutationFn: (code: string) => session.setSecondFactor(propose.data?.secret ?? '', code),
    onSuccess: () => {
      void message.success(t.own.secondOn);
      onDone();
    },
  });
  const drop = useMutation({
    mutationFn: session.dropSecondFactor,
    onSuccess: () => {
      void message.success(t.own.secondOff);
      onDone();
    },
  });
  const failure = propose.error ?? take.error ?? drop.error;
  return (
    <Panel title={t.own.second}>
      <p className="muted">{t.own.secondHelp}</p>
      {propose.data ? (
        <Form layout="vertical" requiredMark={false} onFinish={({ code }) => take.mutate(code)}>
          <p>
            <span className="muted">{t.own.secret} </span>
            <code className="mono">{propose.data.secret}</code>
          </p>
          <p>
            <a href={propose.data.uri}>{t.own.openApp}</a>
          </p>
          <Form.Item name="code" label={t.signIn.code} rules={[{ required: true, message: t.common.requiredField }]}>
            <Input inputMode="numeric" maxLength={6} autoComplete="one-time-code" />
          </Form.Item>
          <Button htmlType="submit" loading={take.isPending}>
            {t.own.confirmSecond}
          </Button>
        </Form>
      ) : (
        <p>
          <Button onClick={() => propose.mutate()} loading={propose.isPending}>
            {t.own.setUpSecond}
          </Button>{' '}
          <Button danger onClick={() => drop.mutate()} loading={drop.isPending}>
            {t.own.dropSecond}
          </Button>
        </p>
      )}
      {failure && <ErrorNote error={failure} />}
    </Panel>
  );
}
