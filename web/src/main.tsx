/**
 * Starts the page.
 */
import { render } from 'preact';
import { keep, wear } from './keep.js';
import './style/tokens.css';
import './style/base.css';
import './style/layout.css';
import './style/messages.css';
import { App } from './view/app.js';

wear(keep.theme());
const page = document.getElementById('page');
if (page) render(<App />, page);
