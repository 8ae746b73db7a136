import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input } from 'antd';
import { useEffect } from 'react';
import { Problem } from '../api/client';
import { session } from '../api/resources';
import { useText } from '../i18n';
import { SESSION } from '../lib/session';
import { sentenceOf } from '../ui/Notes';
import { LanguageMenu, ThemeMenu } from '../ui/TopBar';

export function SignIn() {
  const t = useText();
  const queries = useQueryClient();
  const signIn = useMutation({
    mutationFn: (form: { username: string; password: string }) => session.signIn(form.username, form.password),
    onSuccess: (answer) => queries.setQueryData(SESSION, answer.user),
  });
  useEffect(() => {
    document.title = `${t.signIn.title} – ${t.app}`;
  }, [t]);
  const wrong = signIn.error instanceof Problem && signIn.error.status === 401;
  return (
    <main className="sign-in">
      <div className="sign-in-box">
        <div className="panel">
          <h1 className="sign-in-brand">
            <img src="/icon.svg" alt="" />
            {t.app}
          </h1>
          <Form layout="vertical" requiredMark={false} onFinish={(form) => signIn.mutate(form)}>
            <Form.Item
              name="username"
              label={t.signIn.user}
              rules={[{ required: true, message: t.common.requiredField }]}
            >
              <Input autoComplete="username" autoFocus />
            </Form.Item>
            <Form.Item
              name="password"
              label={t.signIn.password}
              rules={[{ required: true, message: t.common.requiredField }]}
            >
              <Input.Password autoComplete="current-password" />
            </Form.Item>
            {signIn.error && (
              <p role="alert" className="state-crit">
                {wrong ? t.signIn.wrong : sentenceOf(signIn.error, t)}
              </p>
            )}
            <Button type="primary" htmlType="submit" block loading={signIn.isPending}>
              {t.signIn.button}
            </Button>
          </Form>
        </div>
        <div className="sign-in-foot">
          <LanguageMenu />
          <ThemeMenu />
        </div>
      </div>
    </main>
  );
}
