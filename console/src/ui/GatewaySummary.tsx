import { Link } from '@tanstack/react-router';
import { useText } from '../i18n';
import { count, minutesSeconds, percent } from '../lib/format';
import { Facts } from './Page';
import { GatewayState } from './State';

interface GatewaySummaryProps {
  /** Name of the filter by which calls and records know this gateway. */
  filter: 'mapping_gateway' | 'routing_gateway';
  gateway: { name: string; enabled: boolean; calls: number; cps: number; asr?: string | null; acd_s?: number | null };
}

export function GatewaySummary({ filter, gateway }: GatewaySummaryProps) {
  const t = useText();
  return (
    <Facts
      facts={[
        [t.common.state, <GatewayState key="state" enabled={gateway.enabled} />],
        [
          t.common.openCalls,
          <Link key="calls" to="/calls" search={{ [filter]: gateway.name }}>
            {count(gateway.calls)}
          </Link>,
        ],
        [t.overview.cps, count(gateway.cps)],
        [t.overview.asr, percent(gateway.asr)],
        [t.overview.acd, minutesSeconds(gateway.acd_s)],
        [
          t.common.openRecords,
          <Link key="records" to="/records" search={{ [filter]: gateway.name }}>
            {t.common.more}
          </Link>,
        ],
      ]}
    />
  );
}
