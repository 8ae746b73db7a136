/** What this switch is, where it listens, and whether its stored data adds up. */
import { useMutation, useQuery } from '@tanstack/react-query';
import { Button } from 'antd';
import { type Status, system } from '../api/resources';
import { useText } from '../i18n';
import { count, time } from '../lib/format';
import { ErrorNote, Loading } from '../ui/Notes';
import { Facts, Page, Panel, Scroll } from '../ui/Page';
import { StateMark } from '../ui/State';

const REFRESH_MS = 5_000;

export function StatusPage() {
  const t = useText();
  const status = useQuery({ queryKey: ['status'], queryFn: system.status, refetchInterval: REFRESH_MS });
  return (
    <Page title={t.nav.status}>
      {status.isPending && <Loading />}
      {status.error && <ErrorNote error={status.error} onRetry={() => void status.refetch()} />}
      {status.data && <About status={status.data} />}
      <Check />
      <Panel title={t.status.exportTitle}>
        <p className="row-of">
          <a href="/api/v1/export" download="tandem-export.toml">
            {t.status.exportLink}
          </a>
          <a href="/api/v1/openapi.json">{t.status.apiDocument}</a>
        </p>
      </Panel>
    </Page>
  );
}

function About({ status }: { status: Status }) {
  const t = useText();
  const { media, journal } = status;
  return (
    <Panel>
      <Facts
        facts={[
          [t.status.version, status.version],
          [t.status.started, time(status.started_at)],
          [t.status.now, time(status.now)],
          [t.status.media, t.status.mediaUse(count(media.ports_used), media.ports_from, media.ports_to)],
          [
            t.status.journal,
            `${journal.state} · ${t.status.journalSeq(String(journal.applied_seq), String(journal.last_seq))}`,
          ],
          [
            t.status.listeners,
            <span key="listeners">
              {status.listeners.map((l) => (
                <div key={`${l.transport}-${l.address}`}>
                  <span className="mono">
                    {l.transport.toUpperCase()} {l.address}
                  </span>{' '}
                  {l.advertised && l.advertised !== l.address && (
                    <span className="muted">{t.status.advertised(l.advertised)}</span>
                  )}
                </div>
              ))}
            </span>,
          ],
        ]}
      />
    </Panel>
  );
}

function Check() {
  const t = useText();
  const check = useMutation({ mutationFn: system.check });
  return (
    <Panel title={t.status.check}>
      <p>{t.status.checkIntro}</p>
      <Button onClick={() => check.mutate()} loading={check.isPending}>
        {t.status.checkRun}
      </Button>
      {check.error && <ErrorNote error={check.error} onRetry={() => check.mutate()} />}
      {check.data && (
        <>
          <p role="status" data-check={check.data.ok}>
            <StateMark tone={check.data.ok ? 'ok' : 'crit'}>
              {check.data.ok ? t.status.checkOk : t.status.checkBad}
            </StateMark>
          </p>
          <Scroll label={t.status.check}>
            <table className="table">
              <tbody>
                {check.data.findings.map((f) => (
                  <tr key={f.check}>
                    <td>
                      <StateMark tone={f.ok ? 'ok' : 'crit'}>{f.check}</StateMark>
                    </td>
                    <td>{f.detail}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        </>
      )}
    </Panel>
  );
}
