package cli

func runResume(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	return ctr.Resume()
}
