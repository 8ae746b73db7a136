import { createRoot } from 'react-dom/client';
import { App } from './App';
import { suspendWhenHidden } from './lib/useLive';
import './ui/styles.css';

const root = document.getElementById('root');
if (root) {
  suspendWhenHidden();
  createRoot(root).render(<App />);
}
