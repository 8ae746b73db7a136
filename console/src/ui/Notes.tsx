/** The three things a page says when it has no data: wait, nothing there, something went wrong. */
import { Button } from 'antd';
import type { ReactNode } from 'react';
import { Problem } from '../api/client';
import { type Messages, useText } from '../i18n';

/** One sentence about a failure, in the reader's words where the kind is known. */
export function sentenceOf(error: unknown, t: Messages): string {
  if (!(error instanceof Problem)) return error instanceof Error ? error.message : t.common.failed;
  if (error.status === 0 || error.status === 502 || error.status === 504) return t.common.offline;
  if (error.status === 404) return t.common.notFound;
  if (error.status === 403) return t.common.forbidden;
  const details = error.fields.map((f) => (f.field ? `${f.field}: ${f.message}` : f.message)).join('; ');
  return details && details !== error.message ? `${error.message} (${details})` : error.message;
}

export function ErrorNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const t = useText();
  const requestId = error instanceof Problem ? error.requestId : null;
  return (
    <div className="note note-crit" role="alert">
      <span className="note-words">
        <strong aria-hidden="true">▲ </strong>
        {sentenceOf(error, t)}
        {requestId && <span className="muted mono"> · {t.common.request(requestId)}</span>}
      </span>
      {onRetry && <Button onClick={onRetry}>{t.common.retry}</Button>}
    </div>
  );
}

export function Loading() {
  return (
    <p className="muted" role="status">
      {useText().common.loading}
    </p>
  );
}

export function Empty({ text, action }: { text: string; action?: ReactNode }) {
  return (
    <div className="grid-note">
      <span>{text}</span>
      {action}
    </div>
  );
}
