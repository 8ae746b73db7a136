/** One line over time. The figures beside it are text; the chart only draws, so here amounts may become numbers. */
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useText } from '../i18n';
import { clock } from '../lib/format';
import { Panel } from './Page';
import { useTheme } from './theme';

interface ChartProps {
  title: string;
  /** As text, with its unit. */
  latest: string;
  times: number[];
  values: (number | null)[];
  /** How a value is written, in the table and at the cursor. */
  format: (value: number) => string;
  color: '--leg-a' | '--leg-1' | '--leg-2';
}

const cssValue = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const HEIGHT = 132;

function optionsOf(color: string, width: number): uPlot.Options {
  const axis = {
    stroke: cssValue('--muted'),
    font: '11px system-ui',
    grid: { stroke: cssValue('--line'), width: 1 },
    ticks: { show: false },
  };
  const line = cssValue(color);
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { sync: { key: 'page' }, y: false, drag: { x: false, y: false } },
    scales: {
      x: { time: true },
      y: { range: (_, min, max) => [Math.min(0, min), max <= 0 && min >= 0 ? 1 : max * 1.08] },
    },
    axes: [
      { ...axis, space: 70, size: 24, values: (_, ticks) => ticks.map((s) => clock(s * 1000).slice(0, 5)) },
      { ...axis, size: 46, space: 28 },
    ],
    series: [{}, { stroke: line, width: 1.5, fill: `${line}17`, points: { show: false }, spanGaps: false }],
  };
}

export function Chart(props: ChartProps) {
  const t = useText();
  const [asTable, setAsTable] = useState(false);
  return (
    <Panel
      title={props.title}
      right={
        <>
          <strong>{props.latest}</strong>{' '}
          <button
            type="button"
            className="link-button"
            aria-label={`${props.title}: ${asTable ? t.common.asChart : t.common.asTable}`}
            onClick={() => setAsTable(!asTable)}
          >
            {asTable ? t.common.asChart : t.common.asTable}
          </button>
        </>
      }
    >
      {asTable ? <ValueTable {...props} /> : <Plot {...props} />}
    </Panel>
  );
}

function Plot({ title, latest, times, values, color }: ChartProps) {
  const t = useText();
  const { dark } = useTheme();
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data: uPlot.AlignedData = [times, values];
  const latestData = useRef(data);
  latestData.current = data;

  // biome-ignore lint/correctness/useExhaustiveDependencies: colours are read from the page, which `dark` changes
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(optionsOf(color, element.clientWidth), latestData.current, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [color, dark]);

  useEffect(() => plot.current?.setData([times, values]), [times, values]);
  return <div className="chart" ref={box} role="img" aria-label={t.overview.chartLabel(title, latest)} />;
}

const EACH_MINUTE = 12;

function ValueTable({ title, times, values, format }: ChartProps) {
  const t = useText();
  const picked = times.map((_, i) => i).filter((i) => (times.length - 1 - i) % EACH_MINUTE === 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by the keyboard
    <section className="chart-table" tabIndex={0} aria-label={title}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t.overview.time}</th>
            <th scope="col" className="number">
              {title}
            </th>
          </tr>
        </thead>
        <tbody>
          {picked.reverse().map((i) => (
            <tr key={times[i]}>
              <td className="mono">{clock((times[i] ?? 0) * 1000)}</td>
              <td className="number">{values[i] == null ? '–' : format(values[i])}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
