"""What would make a deployment fail, checked before and after."""
