/** One call in progress: both legs side by side, and the money so far. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button, Drawer } from 'antd';
import { Problem } from '../api/client';
import { type Call, type CallLeg, calls } from '../api/resources';
import { useText } from '../i18n';
import { count, money, NONE, percentOf, price, seconds, time, timeTip } from '../lib/format';
import { useMay } from '../lib/session';
import { jitterTone, LiveDuration, lossTone } from '../pages/callColumns';
import { ErrorNote, Loading } from './Notes';
import { type Fact, Facts, Panel } from './Page';
import { CallState } from './State';

interface CallDrawerProps {
  id: string;
  onClose: () => void;
  onDisconnect: (call: Call) => void;
}

export function CallDrawer({ id, onClose, onDisconnect }: CallDrawerProps) {
  const t = useText();
  const may = useMay();
  const call = useQuery({ queryKey: ['call', id], queryFn: () => calls.get(id), refetchInterval: 1_000 });
  const ended = (call.error instanceof Problem && call.error.status === 404) || call.data?.state === 'ended';
  const shown = call.data;
  return (
    <Drawer
      open
      onClose={onClose}
      size={720}
      mask={false}
      title={shown ? `${shown.caller} → ${shown.callee}` : t.calls.caller}
      extra={
        shown &&
        !ended &&
        may('calls.edit') && (
          <Button danger type="primary" onClick={() => onDisconnect(shown)}>
            {t.calls.disconnect}
          </Button>
        )
      }
    >
      {call.isPending && <Loading />}
      {ended && (
        <div className="note">
          <span className="note-words">{t.calls.ended}</span>
          <Link to="/records/$id" params={{ id }} search={{}}>
            {t.calls.openRecord}
          </Link>
        </div>
      )}
      {call.error && !ended && <ErrorNote error={call.error} onRetry={() => void call.refetch()} />}
      {shown && <Details call={shown} />}
    </Drawer>
  );
}

function Details({ call }: { call: Call }) {
  const t = useText();
  return (
    <div className="stack">
      <Facts facts={factsOf(call, t)} />
      <div className="legs">
        <Leg title={t.calls.legA} leg={call.a} talking={call.state === 'talking'} />
        <Leg title={t.calls.legB} leg={call.b} talking={call.state === 'talking'} />
      </div>
      <div className="row-of">
        <Link to="/simulate" search={{ gateway: call.mapping_gateway ?? '', caller: call.caller, called: call.callee }}>
          {t.calls.simulate}
        </Link>
      </div>
    </div>
  );
}

function factsOf(call: Call, t: ReturnType<typeof useText>): Fact[] {
  return [
    [t.common.state, <CallState key="state" state={call.state} />],
    [t.calls.duration, <LiveDuration key="duration" call={call} />],
    [
      t.calls.start,
      <span key="start" title={timeTip(call.start)}>
        {time(call.start)}
      </span>,
    ],
    [
      t.calls.customer,
      call.account ? (
        <Link key="account" to="/accounts/$id" params={{ id: call.account }} search={{}}>
          {call.account}
        </Link>
      ) : (
        NONE
      ),
    ],
    [t.calls.mapping, call.mapping_gateway ?? NONE],
    [t.calls.routing, call.routing_gateway ?? NONE],
    [t.calls.vendor, call.vendor ?? NONE],
    [t.calls.attempt, call.attempt > 0 ? call.attempt : NONE],
    [t.calls.pdd, seconds(call.pdd_ms)],
    [t.calls.media, call.media === 'relayed' ? t.calls.relayed : call.media === 'direct' ? t.calls.direct : call.media],
    [t.calls.rate, price(call.rate)],
    [t.calls.costRate, price(call.cost_rate)],
    [t.calls.charged, money(call.charged_so_far, 4)],
    [t.calls.reserved, money(call.reserved, 4)],
  ];
}

function Leg({ title, leg, talking }: { title: string; leg: CallLeg; talking: boolean }) {
  const t = useText();
  const mono = (text: string | null | undefined) => <span className="mono">{text ?? NONE}</span>;
  const silent = talking && leg.packets_in === 0;
  const facts: Fact[] = [
    [t.calls.remote, mono(leg.remote)],
    [t.calls.mediaRemote, mono(leg.media_remote)],
    [t.calls.codec, leg.codec ?? NONE],
    [t.calls.packetsIn, count(leg.packets_in)],
    [t.calls.packetsOut, count(leg.packets_out)],
    [
      t.calls.loss,
      <span key="loss" className={lossTone(leg.loss_percent)}>
        {percentOf(leg.loss_percent)}
      </span>,
    ],
    [
      t.calls.jitter,
      <span key="jitter" className={jitterTone(leg.jitter_ms)}>
        {leg.jitter_ms == null ? NONE : `${leg.jitter_ms.toFixed(1)} ms`}
      </span>,
    ],
    [t.calls.callId, mono(leg.call_id)],
  ];
  return (
    <Panel title={title}>
      {silent && <p className="state-crit">▲ {t.calls.silent}</p>}
      <Facts facts={facts} single />
    </Panel>
  );
}
