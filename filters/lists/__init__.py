"""Word lists that may be passed on; NOTICE.txt says where each comes from."""
