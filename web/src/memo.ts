/**
 * Lets a component be as it is while its props are the same. (The framework has this in its compatibility layer only, which is larger than the page needs.)
 */
import { Component, h, type FunctionComponent, type VNode } from 'preact';

export function memo<P extends object>(view: FunctionComponent<P>): new (props: P) => Component<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const before = this.props as Record<string, unknown>;
      const after = next as Record<string, unknown>;
      const keys = Object.keys(after);
      return keys.length !== Object.keys(before).length || keys.some((key) => before[key] !== after[key]);
    }

    override render(): VNode<object> {
      return h(view as FunctionComponent<object>, this.props);
    }
  };
}
