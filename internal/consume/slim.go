package consume

// slim lets the events of a chunk go without their records, once all of them are
// decoded: those take as much memory as the events do, and only what is set aside is
// written as it was read. Where one of them is to be, all are kept and it reports
// false. The caller is the chunk's decoder, and no applier has any of the events yet.
func (c *chunk) slim() bool {
	for i := range c.events {
		if c.events[i].failure != nil {
			return false
		}
	}
	for i := range c.events {
		c.events[i].record = nil
	}
	return true
}

// readAgain reads a partition again from its position, and keeps the records up to
// the claim's event: the store refuses it, and its record is gone.
func (e *Engine) readAgain(c *claim) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !c.mine() {
		return
	}
	p := c.p
	p.whole = max(p.whole, c.events[0].From.Offset)
	aside := p.aside
	p.clear()
	p.aside = aside // the log and the position are as they were: what is acknowledged stays so
	p.seek = true   // by the poll loop, so that no older poll slips in behind
	e.wakePoll()
	e.changed.Broadcast()
}
