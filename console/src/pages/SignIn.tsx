import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input } from 'antd';
import { useEffect, useState } from 'react';
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
    mutationFn: (form: { username: string; password: string; code?: string }) =>
      session.signIn(form.username, form.password, form.code),
    onSuccess: (answer) => queries.setQueryData(SESSION, answer.user),
  });
  useEffect(() => {
    document.title = `${t.signIn.title} – ${t.app}`;
  }, [t]);
  const problem = signIn.error instanceof Problem ? signIn.error : null;
  // The switch asks for the code only after the password was right.
  const needsCode = problem?.fields.some((f) => f.field === 'code') ?? false;
  const [askCode, setAskCode] = useState(false);
  useEffect(() => {
    if (needsCode) setAskCode(true);
  }, [needsCode]);
  const wrong = problem?.status === 401 && !needsCode;
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
            {askCode && (
              <Form.Item name="code" label={t.signIn.code} extra={t.signIn.codeHelp}>
                <Input autoComplete="one-time-code" inputMode="numeric" maxLength={6} autoFocus />
              </Form.Item>
            )}
            {signIn.error && (
              <p role="alert" className="state-crit">
                {wrong ? t.signIn.wrong : needsCode ? t.signIn.codeNeeded : sentenceOf(signIn.error, t)}
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
