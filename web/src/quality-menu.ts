import shaka from 'shaka-player/dist/shaka-player.ui.js';

/** A quality to choose. One that is not `playable` yet may be chosen all the same: it plays once it is. */
export interface Rung {
  readonly name: string;
  readonly playable: boolean;
  /** What there is to say of it beside its name; mostly nothing. */
  readonly note: string;
}

const ICON =
  'M3 6h10v2H3zm14 0h4v2h-4zm-3-2h2v6h-2zM3 16h4v2H3zm8 0h10v2H11zm-3-2h2v6H8zM3 11h12v2H3zm15 0h3v2h-3zm-2-2h2v6h-2z';

/** Shaka's own knows no rung that does not play yet. */
export class QualityMenu extends shaka.ui.SettingsMenu {
  private readonly items = new Map<string | null, { button: HTMLElement; name: HTMLElement; note: HTMLElement }>();

  /** @param choose is told a rung's name, or null: whatever the link carries */
  constructor(
    parent: HTMLElement,
    controls: shaka.ui.Controls,
    private readonly choose: (name: string | null) => void,
  ) {
    super(parent, controls, { path: ICON, viewBox: '0 0 24 24', size: null, url: null });
    this.backSpan.textContent = this.nameSpan.textContent = this.menu.ariaLabel = 'Quality';
    this.backButton.ariaLabel = 'Close';
    this.menu.classList.add('qualities');
  }

  /**
   * @param rungs the lowest first
   * @param wanted what the viewer chose
   * @param playing the rung that is loaded now
   */
  show(rungs: readonly Rung[], wanted: string | null, playing: string | null): void {
    const shown = [...rungs].reverse();
    const names = [null, ...shown.map(({ name }) => name)];
    // In place where it can be, or who chooses by keyboard would lose the place whenever a number changes.
    if (names.join() !== [...this.items.keys()].join()) {
      for (const { button } of this.items.values()) button.remove();
      this.items.clear();
      for (const name of names) this.add(name);
    }
    this.mark(null, wanted, playing ?? '');
    for (const { name, note } of shown) this.mark(name, wanted, note);
    this.button.ariaLabel = `Quality: ${wanted ?? 'Auto'}`;
  }

  private add(name: string | null): void {
    const button = Object.assign(document.createElement('button'), { type: 'button' });
    button.setAttribute('role', 'menuitemradio');
    const [label, note] = [document.createElement('span'), document.createElement('small')];
    label.textContent = name ?? 'Auto';
    button.append(label, note);
    button.addEventListener('click', () => {
      this.choose(name);
      // Shaka leaves its menus open, and shows no previews beside an open one.
      this.controls?.hideSettingsMenus();
      this.button.focus();
    });
    this.menu.append(button);
    this.items.set(name, { button, name: label, note });
  }

  private mark(name: string | null, wanted: string | null, note: string): void {
    const item = this.items.get(name);
    if (!item) return;
    item.button.setAttribute('aria-checked', String(name === wanted));
    // Where Shaka puts the focus when the menu opens.
    item.name.classList.toggle('shaka-chosen-item', name === wanted);
    if (item.note.textContent !== note) item.note.textContent = note;
  }
}
