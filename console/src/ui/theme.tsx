/** Light and dark: follows the system until someone chooses. The same tokens feed Ant Design and our own CSS. */
import { theme as antd, ConfigProvider } from 'antd';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';
import { useLanguage } from '../i18n';

export type ThemeChoice = 'system' | 'light' | 'dark';
const STORED = 'tandem.theme';
const query = matchMedia('(prefers-color-scheme: dark)');

const ThemeContext = createContext<{ choice: ThemeChoice; dark: boolean; choose(choice: ThemeChoice): void }>({
  choice: 'system',
  dark: false,
  choose: () => {},
});

export const useTheme = () => useContext(ThemeContext);

const SHARED = { fontSize: 13, controlHeight: 28, borderRadius: 6, motion: false, wireframe: false };
const LIGHT = {
  ...SHARED,
  colorPrimary: '#1f6feb',
  colorError: '#c62828',
  colorLink: '#1a5fd0',
  colorTextPlaceholder: '#5b6675',
  colorTextDescription: '#5b6675',
  colorBgContainer: '#ffffff',
  colorBgLayout: '#f6f8fb',
  colorBorder: '#c3ccd8',
  colorBorderSecondary: '#e3e8ef',
};
const DARK = {
  ...SHARED,
  colorPrimary: '#2f74e0',
  colorError: '#e5484d',
  colorErrorText: '#ff7b72',
  colorLink: '#5aa2ff',
  colorText: '#e6ebf2',
  colorTextPlaceholder: '#9aa7b8',
  colorTextDescription: '#9aa7b8',
  colorBgContainer: '#151d29',
  colorBgElevated: '#1a2433',
  colorBgLayout: '#0e141d',
  colorBorder: '#3a475c',
  colorBorderSecondary: '#273244',
};
const FONT = 'system-ui, -apple-system, "Segoe UI", "Noto Sans SC", "Noto Sans CJK SC", sans-serif';

export function ThemeProvider({ children }: { children: ReactNode }) {
  const { locale } = useLanguage();
  const [choice, setChoice] = useState<ThemeChoice>(() => (localStorage.getItem(STORED) as ThemeChoice) ?? 'system');
  const [systemDark, setSystemDark] = useState(query.matches);
  useEffect(() => {
    const changed = () => setSystemDark(query.matches);
    query.addEventListener('change', changed);
    return () => query.removeEventListener('change', changed);
  }, []);
  const dark = choice === 'dark' || (choice === 'system' && systemDark);
  useEffect(() => {
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  }, [dark]);
  const choose = (next: ThemeChoice) => {
    localStorage.setItem(STORED, next);
    setChoice(next);
  };
  return (
    <ThemeContext.Provider value={{ choice, dark, choose }}>
      <ConfigProvider
        locale={locale}
        form={{ requiredMark: true, colon: false }}
        theme={{
          algorithm: dark ? antd.darkAlgorithm : antd.defaultAlgorithm,
          token: { ...(dark ? DARK : LIGHT), fontFamily: FONT },
          components: {
            Tabs: { itemSelectedColor: dark ? '#5aa2ff' : '#1a5fd0' },
            Segmented: { trackBg: dark ? '#0e141d' : '#e9eef5' },
            Form: { itemMarginBottom: 10, verticalLabelPadding: '0 0 2px' },
            Drawer: { paddingLG: 14 },
          },
        }}
      >
        {children}
      </ConfigProvider>
    </ThemeContext.Provider>
  );
}
