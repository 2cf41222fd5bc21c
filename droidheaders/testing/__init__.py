"""What the pytest plugin's fixtures give: imported when a test asks for one."""
